//! Which server a command talks to.

/// Where the server is.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Address of the server
    #[arg(long, value_name = "URL", env = "TIDINGS_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
}
