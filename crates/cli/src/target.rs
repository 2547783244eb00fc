//! Which server a command talks to, and what is said when that fails.

use std::error::Error;
use std::future::Future;

use anyhow::Context as _;
use tidings_client::{BuildError, Cause, Client, RequestError, SubscribeError};

use crate::exit::{Exit, Reason};
use crate::terminal::harmless;

/// Where the server is.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Address of the server
    #[arg(
        long,
        value_name = "URL",
        env = "TIDINGS_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) url: String,
    /// A token to come in with; better in the environment, where no list of processes shows it
    #[arg(long, value_name = "TOKEN", env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl Target {
    /// A client of the server.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let mut builder = Client::builder(&self.url);
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        builder.build().map_err(|error: BuildError| {
            let message = format!("--url {}: {error}", self.url);
            Exit::new(Reason::Usage, message).into()
        })
    }

    /// What is to be told about a request that failed.
    pub(crate) fn request(&self, error: &RequestError) -> Exit {
        match error {
            RequestError::Connect(source) => self.unreachable(&chain(&**source)),
            RequestError::Broken(source) => {
                let why = chain(&**source);
                Exit::new(Reason::Unreachable, format!("{error}: {why}. {UNCERTAIN}"))
            }
            RequestError::Certificate(source) => {
                let why = chain(&**source);
                let message = harmless(&format!("{error}: {why}"));
                Exit::new(Reason::Failed, format!("{message}\n{TRUST}"))
            }
            RequestError::Timeout(_) => {
                Exit::new(Reason::Unreachable, format!("{error}. {UNCERTAIN}"))
            }
            RequestError::Refused(refusal) => self.refused(&error.to_string(), refusal.status),
            RequestError::Request(_) => Exit::new(Reason::Usage, error.to_string()),
            _ => Exit::new(Reason::Failed, harmless(&error.to_string())),
        }
    }

    /// What is to be told about a subscription that is over.
    pub(crate) fn subscription(&self, error: &SubscribeError) -> Exit {
        let message = harmless(&error.to_string());
        match error {
            SubscribeError::GaveUp { cause: Cause::Connect(why), .. } => self.unreachable(why),
            SubscribeError::GaveUp { cause: Cause::Refused(_), .. } => {
                Exit::new(Reason::Refused, message)
            }
            SubscribeError::Refused(refusal) => self.refused(&message, refusal.status),
            SubscribeError::GaveUp { .. } => Exit::new(Reason::Unreachable, message),
            SubscribeError::Request(_) => Exit::new(Reason::Usage, message),
            _ => Exit::new(Reason::Failed, message),
        }
    }

    /// Who has shown no token is told how to.
    fn refused(&self, why: &str, status: u16) -> Exit {
        let mut message = harmless(why);
        if status == UNAUTHORIZED && self.token.is_none() {
            message = format!("{message}\na token comes in with TIDINGS_TOKEN");
        }
        Exit::new(Reason::Refused, message)
    }

    fn unreachable(&self, why: &str) -> Exit {
        let message = format!(
            "the server at {} cannot be reached: {}\nstart one with `tidings dev`, or say where it \
             is with --url or TIDINGS_URL",
            self.url,
            harmless(why)
        );
        Exit::new(Reason::Unreachable, message)
    }
}

/// The status of an answer to somebody who has shown no token that counts.
const UNAUTHORIZED: u16 = 401;

/// What to do about a certificate of one's own making.
const TRUST: &str =
    "to trust one that no known authority has signed, name its file in SSL_CERT_FILE";

/// A broken request is the one case in which nobody can say what has happened.
const UNCERTAIN: &str = "The server may have done it all the same";

/// An error with everything underneath it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Runs a command that talks to a server to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(work)
}
