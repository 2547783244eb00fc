//! What the command line asks for, checked.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    USER_AGENT,
};
use hyper::{Method, Uri};
use tidings_server::config::{parse_duration, parse_size};

use super::proxy::Proxy;
use super::wire::{Address, Ask};
use crate::exit::{Exit, Reason};

/// The longest that is watched: a day.
const TIME_MAX: Duration = Duration::from_secs(86_400);
/// The largest event that is published.
const SIZE_MAX: u64 = 64 << 20;

/// How a stream is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum AskedBy {
    Get,
    Post,
}

/// Find out what breaks streams between this machine and a server
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXAMPLES)]
pub(crate) struct Arguments {
    /// A Tidings server, one of its topics, or any event stream
    url: String,
    /// Send this header with every request; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// A token for a Tidings server, better in the environment, where no list of processes shows
    /// it; nothing else is sent it
    #[arg(long, value_name = "TOKEN", env = "TIDINGS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How to ask for a stream that is not of Tidings
    #[arg(long, value_name = "METHOD", value_enum, default_value = "GET", ignore_case = true)]
    method: AskedBy,
    /// The body to send with --method POST; JSON unless a --header says otherwise
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// How long to watch a stream that is not of Tidings
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = time)]
    observe: Duration,
    /// Also keep a silent stream open for this long, to find idle timeouts
    #[arg(long, value_name = "DURATION", value_parser = time)]
    idle: Option<Duration>,
    /// Also keep a busy stream open for this long, to find limits on the whole answer
    #[arg(long = "for", value_name = "DURATION", value_parser = time)]
    length: Option<Duration>,
    /// Also find out whether pages of this origin may read the stream
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    origin: Option<String>,
    /// Also publish an event of this size
    #[arg(long, value_name = "SIZE", value_parser = size)]
    publish_size: Option<u64>,
    /// Publish nothing to a Tidings server; much of it cannot be tested then
    #[arg(long)]
    read_only: bool,
    /// Say what to change for these proxies, whichever is recognised
    #[arg(long, value_name = "PROXY", value_enum, value_delimiter = ',')]
    proxy: Vec<Proxy>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The command line, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// As it was written.
    pub(super) url: String,
    pub(super) uri: Uri,
    pub(super) address: Address,
    pub(super) headers: HeaderMap,
    /// What a Tidings server is told of who asks, if no header says it.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) method: Method,
    pub(super) data: Bytes,
    pub(super) observe: Duration,
    pub(super) idle: Option<Duration>,
    pub(super) length: Option<Duration>,
    pub(super) origin: Option<String>,
    pub(super) publish_size: Option<u64>,
    pub(super) read_only: bool,
    pub(super) proxies: Vec<Proxy>,
    pub(super) json: bool,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Exit> {
        let usage = |message: String| Exit::new(Reason::Usage, message);
        let url = &arguments.url;
        let wrong = || usage(format!("{url} is not a URL with http:// or https://"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let address = Address::of(&uri).ok_or_else(wrong)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let message = "give credentials with --header 'Authorization: …', not in the URL";
            return Err(usage(message.to_owned()));
        }
        let method = match arguments.method {
            AskedBy::Get => Method::GET,
            AskedBy::Post => Method::POST,
        };
        let data = match &arguments.data {
            Some(_) if method == Method::GET => {
                return Err(usage("--data is for --method POST".to_owned()));
            }
            Some(file) => std::fs::read(file)
                .map_err(|error| usage(format!("cannot read {}: {error}", file.display())))?,
            None => Vec::new(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &arguments.headers {
            headers.append(name, value.clone());
        }
        let authorization = match &arguments.token {
            Some(token) if !headers.contains_key(AUTHORIZATION) => Some(bearer(token)?),
            _ => None,
        };
        Ok(Self {
            url: url.clone(),
            uri,
            address,
            headers,
            authorization,
            method,
            data: data.into(),
            observe: arguments.observe,
            idle: arguments.idle,
            length: arguments.length,
            origin: arguments.origin.clone(),
            publish_size: arguments.publish_size,
            read_only: arguments.read_only,
            proxies: arguments.proxy.clone(),
            json: arguments.json,
        })
    }

    /// The request for a stream, with the headers that `EventSource` sends unless others are given.
    pub(super) fn stream(&self, uri: Uri) -> Ask {
        let mut ask = Ask::get(uri, &self.headers);
        let mut unless_given = |name: HeaderName, value: &'static str| {
            if !ask.headers.contains_key(&name) {
                ask.headers.insert(name, HeaderValue::from_static(value));
            }
        };
        unless_given(ACCEPT, "text/event-stream");
        unless_given(CACHE_CONTROL, "no-cache");
        unless_given(USER_AGENT, concat!("tidings-doctor/", env!("CARGO_PKG_VERSION")));
        if self.method == Method::POST {
            unless_given(CONTENT_TYPE, "application/json");
            ask.body = self.data.clone();
            ask.method = Method::POST;
        }
        ask
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Exit> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Exit::new(Reason::Usage, "TIDINGS_TOKEN: it has characters that no token has")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `Name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not the name of a header"))?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| "the value has characters that HTTP does not allow".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    match time {
        Duration::ZERO => Err("it must be more than nothing".to_owned()),
        _ if time > TIME_MAX => Err("at most 24h".to_owned()),
        _ => Ok(time),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    if bytes > SIZE_MAX { Err("at most 64MiB".to_owned()) } else { Ok(bytes) }
}

fn origin(text: &str) -> Result<String, String> {
    let wrong = "write it as https://app.example, without a path";
    let uri: Uri = text.parse().map_err(|_| wrong)?;
    let bare = !text.ends_with('/') && matches!(uri.path(), "" | "/") && uri.query().is_none();
    if Address::of(&uri).is_some() && bare { Ok(text.to_owned()) } else { Err(wrong.to_owned()) }
}
