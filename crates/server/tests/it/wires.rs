//! What the tests' connections go over: plain HTTP/1.1, HTTP/1.1 in TLS, HTTP/2 in TLS.
//!
//! A promise of the server holds over each, so a test of one is run over each: it speaks HTTP/1.1
//! all the same, and over HTTP/2 a small proxy of its own translates, one connection for each.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::tls;

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Tls,
    Http2,
}

thread_local! {
    static PRESENT: Cell<Wire> = const { Cell::new(Wire::Plain) };
}

/// Runs a test over each: the servers that it starts are spoken to over that.
#[allow(clippy::print_stdout, reason = "shown with a test that fails, and only then")]
pub(crate) fn over_each_wire(test: impl Fn()) {
    for wire in [Wire::Plain, Wire::Tls, Wire::Http2] {
        println!("over {wire:?}:");
        PRESENT.set(wire);
        test();
    }
    PRESENT.set(Wire::Plain);
}

/// What the servers that this thread starts are spoken to over.
pub(crate) fn present() -> Wire {
    PRESENT.get()
}

/// A connection to whom HTTP/1.1 is spoken, and who speaks HTTP/2 to the server.
pub(crate) fn translated(server: SocketAddr) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    theirs.set_nonblocking(true).unwrap();
    theirs.set_nodelay(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Whoever is spoken to sees its end, and says what it was about.
        let _ = runtime.block_on(translate(theirs, server));
        runtime.shutdown_timeout(Duration::ZERO);
    });
    ours
}

type Ended = Result<(), Box<dyn std::error::Error>>;

async fn translate(theirs: TcpStream, server: SocketAddr) -> Ended {
    let mut theirs = tokio::net::TcpStream::from_std(theirs)?;
    let socket = tokio::net::TcpStream::connect(server).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::client(&["h2"])));
    let socket = connector.connect("first.example".try_into()?, socket).await?;
    let (requests, connection) = h2::client::handshake(socket).await?;
    let served = async {
        let mut input = Vec::new();
        while pass(&mut theirs, &requests, &mut input).await? {}
        Ok(())
    };
    tokio::select! {
        served = served => served,
        ended = connection => Ok(ended?),
    }
}

/// Takes a request and brings its answer; whether another one may follow.
async fn pass(
    theirs: &mut tokio::net::TcpStream,
    requests: &SendRequest<Bytes>,
    input: &mut Vec<u8>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let head = loop {
        if let Some(at) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(input.drain(..at + 4).collect())?;
        }
        if theirs.read_buf(input).await? == 0 {
            return Ok(false);
        }
    };
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or(""), first.next().unwrap_or(""));
    let mut request = Request::builder()
        .version(Version::HTTP_2)
        .method(method)
        .uri(format!("https://test{target}"));
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-length" {
            length = value.parse()?;
        }
        if !matches!(&*name, "host" | "connection") {
            request = request.header(name, value);
        }
    }
    while input.len() < length {
        if theirs.read_buf(input).await? == 0 {
            return Ok(false);
        }
    }
    let body: Vec<u8> = input.drain(..length).collect();
    let mut requests = requests.clone().ready().await?;
    let (answer, mut sender) = requests.send_request(request.body(())?, body.is_empty())?;
    if !body.is_empty() {
        sender.send_data(body.into(), true)?;
    }
    let (answer, mut body) = answer.await?.into_parts();
    let streams = is_stream(&answer.headers, answer.status.as_u16());
    let mut head = format!("HTTP/1.1 {} \r\n", answer.status.as_u16()).into_bytes();
    for (name, value) in &answer.headers {
        head.extend_from_slice(
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat(),
        );
    }
    head.extend_from_slice(if streams { b"connection: close\r\n\r\n" } else { b"\r\n" });
    theirs.write_all(&head).await?;
    bring(theirs, &mut body, streams).await?;
    Ok(!streams)
}

/// Whether the answer has no length: it ends with its connection.
fn is_stream(headers: &HeaderMap, status: u16) -> bool {
    !headers.contains_key("content-length") && !matches!(status, 204 | 304)
}

/// Brings a body, as fast as it is read. Of a stream, who hangs up is looked for meanwhile.
async fn bring(theirs: &mut tokio::net::TcpStream, body: &mut RecvStream, streams: bool) -> Ended {
    let mut word = [0];
    loop {
        let part = tokio::select! {
            part = body.data() => part,
            _ = theirs.read(&mut word), if streams => return Ok(()),
        };
        let Some(part) = part else { return Ok(()) };
        let part = match part {
            // A connection of HTTP/1.1 would have been cut.
            Err(error) if error.reason() == Some(Reason::CANCEL) => return Ok(()),
            part => part?,
        };
        theirs.write_all(&part).await?;
        // After the end of the stream there is no window any more.
        let _ = body.flow_control().release_capacity(part.len());
    }
}
