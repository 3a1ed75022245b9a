//! Names that are made up: of constraints, indexes and sequences.

use ochre_base::Oid;
use ochre_base::limits::MAX_IDENTIFIER_BYTES;
use ochre_catalog::CatalogSnapshot;

/// `first_second_label`, with the longer of the first two cut until it fits.
pub(crate) fn object_name(first: &str, second: &str, label: &str) -> String {
    let separators = usize::from(!second.is_empty()) + usize::from(!label.is_empty());
    let room = MAX_IDENTIFIER_BYTES - separators - label.len();
    let (mut a, mut b) = (first.len(), second.len());
    while a + b > room {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let mut name = cut(first, a).to_string();
    for part in [cut(second, b), label] {
        if !part.is_empty() {
            name.push('_');
            name.push_str(part);
        }
    }
    name
}

fn cut(text: &str, mut bytes: usize) -> &str {
    while !text.is_char_boundary(bytes) {
        bytes -= 1;
    }
    &text[..bytes]
}

/// The first of `first_second_label`, `…label1`, `…label2` that is not taken.
pub(crate) fn choose(first: &str, second: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = object_name(first, second, label);
    let mut pass = 0;
    while taken(&name) {
        pass += 1;
        name = object_name(first, second, &format!("{label}{pass}"));
    }
    name
}

/// A free relation name.
pub(crate) fn choose_relation(
    catalog: &CatalogSnapshot,
    namespace: Oid,
    first: &str,
    second: &str,
    label: &str,
) -> String {
    choose(first, second, label, |name| catalog.relation_in(namespace, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_fit() {
        assert_eq!(object_name("t", "c", "seq"), "t_c_seq");
        assert_eq!(object_name("t", "", "pkey"), "t_pkey");
        let long = "x".repeat(70);
        let name = object_name(&long, "abc", "key");
        assert_eq!(name.len(), MAX_IDENTIFIER_BYTES);
        assert!(name.ends_with("_abc_key"));
    }

    #[test]
    fn taken_names_get_a_number() {
        let taken = ["t_check", "t_check1"];
        assert_eq!(choose("t", "", "check", |name| taken.contains(&name)), "t_check2");
    }
}
