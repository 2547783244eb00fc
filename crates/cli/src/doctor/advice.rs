//! What to change, and where: one table.
//!
//! The lines are meant to be copied. A pair that is not in the table is one that has nothing to do
//! with the finding: an ALB compresses nothing, so it is not named where compression is.

use super::proxy::Proxy;

/// What has to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Pass bytes on as they come.
    Buffering,
    /// Leave event streams uncompressed.
    Compression,
    /// Leave `Cache-Control` and `X-Accel-Buffering` as they are.
    Headers,
    /// Keep a silent connection open.
    Idle,
    /// Pass `Last-Event-ID` on.
    Resume,
    /// Answer CORS requests in one place.
    Cors,
    /// Take larger bodies on the way.
    Size,
    /// Take larger events.
    ServerSize,
    /// Offer HTTP/2.
    Http2,
    /// Do not cut a long answer.
    Length,
    /// Answer with an event stream.
    Media,
}

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The Tidings server.
    Tidings,
    /// Any other program that sends the stream.
    Program,
    Of(Proxy),
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tidings => "Tidings",
            Self::Program => "the server",
            Self::Of(proxy) => proxy.name(),
        }
    }
}

/// The lines of the table for a change, in the table's order.
pub(super) fn lines(change: Change) -> impl Iterator<Item = (Place, &'static [&'static str])> {
    TABLE.iter().filter(move |row| row.0 == change).map(|row| (row.1, row.2))
}

const NGINX: Place = Place::Of(Proxy::Nginx);
const CADDY: Place = Place::Of(Proxy::Caddy);
const HAPROXY: Place = Place::Of(Proxy::Haproxy);
const ALB: Place = Place::Of(Proxy::Alb);
const CLOUDFLARE: Place = Place::Of(Proxy::Cloudflare);

type Row = (Change, Place, &'static [&'static str]);

const TABLE: &[Row] = &[
    (
        Change::Buffering,
        Place::Program,
        &["send: X-Accel-Buffering: no", "flush after each event, and a first line `:` at once"],
    ),
    (
        Change::Buffering,
        NGINX,
        &[
            "proxy_buffering off;",
            "proxy_cache off;",
            "proxy_http_version 1.1;",
            "proxy_set_header Connection \"\";",
            "# and no: proxy_ignore_headers X-Accel-Buffering;",
        ],
    ),
    (
        Change::Buffering,
        CADDY,
        &[
            "reverse_proxy 127.0.0.1:8080 {",
            "    flush_interval -1",
            "    # and no response_buffers",
            "}",
        ],
    ),
    (
        Change::Buffering,
        HAPROXY,
        &["option http-no-delay", "# and no: http-response wait-for-body"],
    ),
    (
        Change::Buffering,
        ALB,
        &["# a target group of type lambda holds whole answers: use type instance or ip"],
    ),
    (
        Change::Buffering,
        CLOUDFLARE,
        &[
            "# Rules > Configuration Rules > Response Body Buffering: none",
            "# a quick tunnel (trycloudflare.com) holds event streams: use a named tunnel",
        ],
    ),
    (
        Change::Compression,
        Place::Program,
        &["send: Cache-Control: no-cache, no-transform", "# and compress no text/event-stream"],
    ),
    (
        Change::Compression,
        NGINX,
        &["gzip off;", "# or leave text/event-stream out of gzip_types (and of brotli_types)"],
    ),
    (
        Change::Compression,
        CADDY,
        &["@page not header Accept text/event-stream*", "encode @page zstd gzip"],
    ),
    (
        Change::Compression,
        HAPROXY,
        &["# leave text/event-stream out:", "compression type text/html text/css application/json"],
    ),
    (
        Change::Compression,
        CLOUDFLARE,
        &[
            "# Rules > Compression Rules: Disable compression, when",
            "http.response.content_type.media_type eq \"text/event-stream\"",
        ],
    ),
    (
        Change::Headers,
        Place::Program,
        &["send: Cache-Control: no-cache, no-transform", "send: X-Accel-Buffering: no"],
    ),
    (
        Change::Headers,
        NGINX,
        &[
            "# neither: proxy_hide_header Cache-Control;",
            "# nor:     expires …; add_header Cache-Control …;",
            "proxy_pass_header X-Accel-Buffering;   # if there is another nginx in front",
        ],
    ),
    (
        Change::Headers,
        CADDY,
        &["# neither `header -Cache-Control` nor `header_down -Cache-Control` for the stream"],
    ),
    (
        Change::Headers,
        HAPROXY,
        &[
            "# neither: http-response del-header Cache-Control",
            "# nor:     http-response set-header Cache-Control …",
        ],
    ),
    (
        Change::Headers,
        CLOUDFLARE,
        &["# Caching > Configuration > Browser Cache TTL: Respect Existing Headers"],
    ),
    (
        Change::Idle,
        Place::Tidings,
        &["[server]", "heartbeat = \"10s\"   # less than the shortest limit on the way"],
    ),
    (
        Change::Idle,
        Place::Program,
        &["# send a comment, `:` and a line end, whenever nothing else was sent for 15 s"],
    ),
    (Change::Idle, NGINX, &["proxy_read_timeout 1h;   # 60s unless set", "send_timeout 1h;"]),
    (
        Change::Idle,
        CADDY,
        &[
            "reverse_proxy 127.0.0.1:8080 {",
            "    transport http {",
            "        read_timeout 1h",
            "    }",
            "}",
        ],
    ),
    (Change::Idle, HAPROXY, &["timeout server 1h", "timeout client 1h"]),
    (
        Change::Idle,
        ALB,
        &[
            "# 60 s unless set",
            "aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN \\",
            "    --attributes Key=idle_timeout.timeout_seconds,Value=4000",
        ],
    ),
    (
        Change::Idle,
        CLOUDFLARE,
        &["# ends some 100 s of silence; only Enterprise may change that: send heartbeats"],
    ),
    (
        Change::Resume,
        Place::Program,
        &["# send an `id:` with each event, and begin after the id in the header Last-Event-ID"],
    ),
    (
        Change::Resume,
        NGINX,
        &["proxy_set_header Last-Event-ID $http_last_event_id;", "proxy_pass_request_headers on;"],
    ),
    (Change::Resume, CADDY, &["# no: header_up -Last-Event-ID"]),
    (Change::Resume, HAPROXY, &["# no: http-request del-header Last-Event-ID"]),
    (
        Change::Resume,
        CLOUDFLARE,
        &["# Rules > Transform Rules > Modify Request Header: none that removes Last-Event-ID"],
    ),
    (Change::Cors, Place::Tidings, &["[server]", "cors_origins = [\"https://app.example\"]"]),
    (
        Change::Cors,
        Place::Program,
        &[
            "send: Access-Control-Allow-Origin: https://app.example",
            "send: Vary: Origin",
            "and to OPTIONS: Access-Control-Allow-Headers: last-event-id",
        ],
    ),
    (
        Change::Cors,
        NGINX,
        &[
            "# the server answers CORS itself: neither add_header Access-Control-… here,",
            "# nor proxy_hide_header Access-Control-…, nor `if ($request_method = OPTIONS)`",
        ],
    ),
    (Change::Cors, CADDY, &["# the server answers CORS itself: no `header Access-Control-…` here"]),
    (
        Change::Cors,
        HAPROXY,
        &["# the server answers CORS itself: no http-response set-header Access-Control-… here"],
    ),
    (
        Change::Cors,
        CLOUDFLARE,
        &["# Rules > Transform Rules > Modify Response Header: none that sets Access-Control-…"],
    ),
    (
        Change::ServerSize,
        Place::Tidings,
        &["[limits]", "event_bytes = \"16MiB\"   # the most there is", "body_bytes = \"24MiB\""],
    ),
    (
        Change::Size,
        NGINX,
        &["client_max_body_size 16m;   # 1m unless set", "proxy_request_buffering off;"],
    ),
    (Change::Size, CADDY, &["request_body {", "    max_size 16MB", "}"]),
    (
        Change::Size,
        HAPROXY,
        &["# no limit of its own; look for: http-request deny if { req.body_size gt … }"],
    ),
    (Change::Size, ALB, &["# no limit, but for targets of type lambda: 1 MB"]),
    (
        Change::Size,
        CLOUDFLARE,
        &["# Network > Maximum Upload Size: 100 MB; 200 MB (Business), more (Enterprise)"],
    ),
    (
        Change::Http2,
        NGINX,
        &["listen 443 ssl;", "http2 on;   # before 1.25.1: listen 443 ssl http2;"],
    ),
    (
        Change::Http2,
        CADDY,
        &["app.example {   # a site with TLS speaks HTTP/2 and 3 by itself", "}"],
    ),
    (Change::Http2, HAPROXY, &["bind :443 ssl crt /etc/haproxy/cert.pem alpn h2,http/1.1"]),
    (
        Change::Http2,
        ALB,
        &[
            "# an HTTPS listener, and (true unless set)",
            "aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN \\",
            "    --attributes Key=routing.http2.enabled,Value=true",
        ],
    ),
    (Change::Http2, CLOUDFLARE, &["# Speed > Settings > Protocol Optimization > HTTP/2: on"]),
    (
        Change::Length,
        NGINX,
        &["# no such limit; reloads cut after worker_shutdown_timeout, so leave it unset"],
    ),
    (
        Change::Length,
        CADDY,
        &[
            "servers {",
            "    timeouts {",
            "        write 0",
            "    }",
            "}",
            "# and in the transport: no response_header_timeout below it",
        ],
    ),
    (
        Change::Length,
        HAPROXY,
        &["# no such limit; reloads cut after hard-stop-after, so leave it unset"],
    ),
    (
        Change::Length,
        ALB,
        &[
            "# no such limit; a deployment cuts after the target group's",
            "# deregistration_delay.timeout_seconds (300 s unless set)",
        ],
    ),
    (
        Change::Length,
        CLOUDFLARE,
        &["# no such limit, but its releases cut connections: clients must resume"],
    ),
    (
        Change::Media,
        Place::Program,
        &[
            "send: 200 and Content-Type: text/event-stream",
            "# 204 tells EventSource to stop for good",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_is_there_twice_and_none_is_empty() {
        for (index, (change, place, lines)) in TABLE.iter().enumerate() {
            assert!(!lines.is_empty(), "{change:?} {place:?}");
            let again = TABLE[..index].iter().any(|row| (row.0, row.1) == (*change, *place));
            assert!(!again, "{change:?} {place:?} is there twice");
        }
    }

    #[test]
    fn lines_are_found_by_change() {
        let places: Vec<Place> = lines(Change::Compression).map(|(place, _)| place).collect();
        assert_eq!(places, [Place::Program, NGINX, CADDY, HAPROXY, CLOUDFLARE]);
    }
}
