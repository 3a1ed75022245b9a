//! `ochre serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ochre_base::{Error, Result, SqlState};
use ochre_engine::settings::{Settings, Source};
use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;
use ochre_server::{Server, ServerConfig};
use ochre_storage::{OpenKind, Storage};

use crate::configuration;

/// The arguments of `ochre serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The data directory; it is made if it is not there.
    #[arg(long, short = 'D', value_name = "DIR", default_value = "ochre-data")]
    data: PathBuf,
    /// The loopback address to listen on, by default 127.0.0.1:5432; may be given more than once.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// A directory for a Unix socket; may be given more than once.
    #[arg(long, value_name = "DIR")]
    socket_dir: Vec<PathBuf>,
    /// A setting by PostgreSQL's name; may be given more than once.
    #[arg(short = 'c', value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Serve {
    /// Serves until a signal.
    ///
    /// # Errors
    /// What opening, listening or closing fails with.
    pub(crate) fn run(self) -> Result<()> {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .init();
        ochre_server::end_process_on_broken_storage();
        let mut settings = configuration::read(&self.data, &self.set)?;
        let config = self.server_config(&settings)?;
        let max_connections = config.max_connections;
        let server = Server::bind(config)?;
        publish(&mut settings, &self, &server)?;
        let started = Instant::now();
        let instance = Instance::open(
            Env::os().with_waiting(ochre_server::waiting()),
            &self.data,
            InstanceConfig {
                storage: configuration::storage(&settings),
                settings,
                background: true,
                max_sessions: max_connections,
                first_xid: None,
            },
        )?;
        tracing::info!(
            "OchreDB {} opened {} in {} ms{}",
            env!("CARGO_PKG_VERSION"),
            self.data.display(),
            started.elapsed().as_millis(),
            recovery_times(instance.storage())
        );
        let hint = connect_hint(&server);
        let running = server.start(instance)?;
        eprintln!("Connect with: {hint}");
        let signal = running.wait_for_signal().map_err(|error| {
            Error::new(SqlState::new("58000"), format!("cannot wait for signals: {error}"))
        })?;
        tracing::info!("{signal}: shutting down");
        running.stop()?;
        tracing::info!("closed");
        Ok(())
    }

    fn server_config(&self, settings: &Settings) -> Result<ServerConfig> {
        let port = settings.integer("port") as u16;
        let mut listen = Vec::new();
        if self.listen.is_empty() {
            for name in settings.text("listen_addresses").split(',').map(str::trim) {
                if !name.is_empty() {
                    listen.push(SocketAddr::new(parse_host(name)?, port));
                }
            }
        } else {
            for address in &self.listen {
                listen.push(parse_address(address, port)?);
            }
        }
        let mut socket_directories = self.socket_dir.clone();
        if socket_directories.is_empty() {
            let names = settings.text("unix_socket_directories").split(',').map(str::trim);
            socket_directories = names.filter(|name| !name.is_empty()).map(PathBuf::from).collect();
        }
        Ok(ServerConfig {
            listen,
            socket_directories,
            port,
            max_connections: settings.integer("max_connections") as usize,
            ..ServerConfig::default()
        })
    }
}

/// What of the start was recovery, if there was one.
fn recovery_times(storage: &Storage) -> String {
    let times = storage.open_times();
    if storage.open_kind() != OpenKind::Recovered {
        return String::new();
    }
    format!(
        ": recovered {} records in {} MiB of the log ({} ms to sync it, {} ms to redo it, {} ms to go on from there)",
        times.records,
        times.log_bytes >> 20,
        times.sync.as_millis(),
        times.redo.as_millis(),
        times.settle.as_millis()
    )
}

/// SHOW tells what is really served.
fn publish(settings: &mut Settings, serve: &Serve, server: &Server) -> Result<()> {
    let addresses = server.addresses();
    let hosts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    settings.configure("listen_addresses", &hosts.join(", "), Source::Configuration)?;
    if let Some(first) = addresses.first() {
        settings.configure("port", &first.port().to_string(), Source::Configuration)?;
    }
    let directories: Vec<String> = serve.socket_dir.iter().map(|path| path.display().to_string()).collect();
    if !directories.is_empty() {
        settings.configure("unix_socket_directories", &directories.join(", "), Source::Configuration)?;
    }
    let data = std::path::absolute(&serve.data).unwrap_or_else(|_| serve.data.clone());
    settings.report("data_directory", &data.display().to_string());
    Ok(())
}

/// The psql line that reaches the server.
fn connect_hint(server: &Server) -> String {
    if let Some(address) = server.addresses().first() {
        return format!("psql -h {} -p {} -U postgres", address.ip(), address.port());
    }
    let files = server.socket_files();
    let file = files.first().expect("a server has an address of some kind");
    let directory = file.parent().map(|path| path.display().to_string()).unwrap_or_default();
    let port = file.extension().map(|port| port.to_string_lossy().into_owned()).unwrap_or_default();
    format!("psql -h {directory} -p {port} -U postgres")
}

fn parse_address(text: &str, port: u16) -> Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some((host, own_port)) = text.rsplit_once(':')
        && let (Ok(host), Ok(own_port)) = (parse_host(host), own_port.parse())
    {
        return Ok(SocketAddr::new(host, own_port));
    }
    Ok(SocketAddr::new(parse_host(text)?, port))
}

fn parse_host(text: &str) -> Result<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.trim_matches(['[', ']']).parse().map_err(|_| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("\"{text}\" is not an address to listen on"))
            .hint("Write an IP address and a port, for instance 127.0.0.1:5432.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_out_the_port() {
        assert_eq!(parse_address("localhost:6000", 5432).unwrap().to_string(), "127.0.0.1:6000");
        assert_eq!(parse_address("127.0.0.1", 5432).unwrap().to_string(), "127.0.0.1:5432");
        assert_eq!(parse_address("[::1]:7", 5432).unwrap().to_string(), "[::1]:7");
        assert!(parse_address("somewhere", 5432).is_err());
    }
}
