//! The layers of the workspace: a crate may use only what stands below it.

use std::collections::BTreeMap;
use std::process::Command;

/// For each crate the crates of ours that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ochre-base", &[]),
    ("ochre-fuzzing", &[]),
    ("ochre-env", &["ochre-base"]),
    ("ochre-parser", &["ochre-base"]),
    ("ochre-plpgsql", &["ochre-base", "ochre-parser"]),
    ("ochre-pgwire", &["ochre-base"]),
    ("ochre-types", &["ochre-base", "ochre-env"]),
    ("ochre-expr", &["ochre-base", "ochre-env", "ochre-types"]),
    ("ochre-catalog", &["ochre-base", "ochre-env", "ochre-types", "ochre-expr"]),
    ("ochre-sql", &["ochre-base", "ochre-env", "ochre-types", "ochre-expr", "ochre-catalog", "ochre-parser"]),
    ("ochre-storage", &["ochre-base", "ochre-env"]),
    ("ochre-txn", &["ochre-base", "ochre-env", "ochre-storage"]),
    ("ochre-access", &["ochre-base", "ochre-env", "ochre-storage", "ochre-txn"]),
    (
        "ochre-exec",
        &[
            "ochre-base",
            "ochre-env",
            "ochre-types",
            "ochre-expr",
            "ochre-catalog",
            "ochre-sql",
            "ochre-storage",
            "ochre-txn",
            "ochre-access",
        ],
    ),
    (
        "ochre-engine",
        &[
            "ochre-base",
            "ochre-env",
            "ochre-types",
            "ochre-expr",
            "ochre-catalog",
            "ochre-sql",
            "ochre-parser",
            "ochre-plpgsql",
            "ochre-storage",
            "ochre-txn",
            "ochre-access",
            "ochre-exec",
        ],
    ),
    (
        "ochre-server",
        &["ochre-base", "ochre-env", "ochre-pgwire", "ochre-types", "ochre-storage", "ochre-engine"],
    ),
    ("ochredb", &["ochre-base", "ochre-env", "ochre-types", "ochre-engine"]),
    ("ochre-torture", &["ochre-base", "ochre-env", "ochre-types", "ochre-storage", "ochre-engine"]),
];

/// The normal dependencies of each package of the workspace on others of it, from `cargo metadata`.
fn edges() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
            let ours = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| name.starts_with("ochre"))
                .map(str::to_string)
                .collect();
            (package["name"].as_str().expect("a name").to_string(), ours)
        })
        .collect()
}

fn forbidden(edges: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (package, dependencies) in edges {
        // The binary stands on top of everything.
        if package == "ochre-cli" {
            continue;
        }
        match ALLOWED.iter().find(|(name, _)| name == package) {
            None => wrong.push(format!("{package} has no place among the layers")),
            Some((_, allowed)) => wrong.extend(
                dependencies
                    .iter()
                    .filter(|dependency| !allowed.contains(&dependency.as_str()))
                    .map(|dependency| format!("{package} must not use {dependency}")),
            ),
        }
    }
    wrong
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let edges = edges();
    assert!(edges.len() > ALLOWED.len(), "the workspace was read");
    assert_eq!(forbidden(&edges), Vec::<String>::new());
}

#[test]
fn a_forbidden_edge_is_found() {
    let mut edges = edges();
    edges.get_mut("ochre-storage").expect("it is there").push("ochre-types".to_string());
    assert_eq!(forbidden(&edges), ["ochre-storage must not use ochre-types"]);
}
