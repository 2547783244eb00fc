//! `tidings dev` and `tidings serve`: flags over the environment over the file, then the server.

use std::path::PathBuf;

use tidings_server::Ready;
use tidings_server::config::{self, Config, File, Flag, Loaded, Mode};

use crate::exit::{Exit, Reason};
use crate::terminal::{self, Paint, Style};

pub(crate) const DEV_EXAMPLES: &str = "\
Everything is open to everybody on this machine, and to nobody else: no configuration is needed.

Examples:
  tidings dev
  tidings dev --listen 127.0.0.1:0             a free port; the address is printed
  tidings dev --data-dir /tmp/try              keep the events elsewhere";

pub(crate) const SERVE_EXAMPLES: &str = "\
Nothing is open that was not asked for: say in the configuration whose tokens count ([[issuer]];
`tidings token keys` makes a key) and what needs none ([public]), or with `anonymous`, there or as
the flag, what anybody who reaches the port may do.

Examples:
  tidings serve --anonymous subscribe,publish
  tidings serve --config /etc/tidings.toml
  tidings serve --listen 0.0.0.0:443 --acme-domains events.example.com --acme-agree-terms \\
      --anonymous subscribe                  a public server, with a certificate of its own
  TIDINGS_SERVER__LISTEN=0.0.0.0:8080 tidings serve --config tidings.toml

Every value of the configuration: tidings config show --config tidings.toml
The server stops on SIGTERM or Ctrl-C; it closes its connections over some seconds (drain.jitter).";

/// The flags that override the configuration; their texts are checked there, with everything else.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// File with the certificate and its chain (PEM): speak TLS, with HTTP/1.1 and HTTP/2
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// File with the certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Names to get a certificate for, with commas between: it is ordered and renewed by itself
    #[arg(long, value_name = "LIST")]
    acme_domains: Option<String>,
    /// Whom the authority of that certificate writes to: e-mail addresses, with commas between
    #[arg(long, value_name = "LIST")]
    acme_contact: Option<String>,
    /// Agree to the terms of service of that authority (Let's Encrypt unless configured)
    #[arg(long)]
    acme_agree_terms: bool,
    /// Folder of the event log, created if missing
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// When a publisher is told that its event is kept: memory, written or synced
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
    /// What anybody may do: of subscribe, publish and admin, with commas between
    #[arg(long, value_name = "LIST")]
    anonymous: Option<String>,
    /// How often a silent subscription gets a comment, such as 15s
    #[arg(long, value_name = "DURATION")]
    heartbeat: Option<String>,
    /// Threads that write to subscribers
    #[arg(long, value_name = "NUMBER")]
    io_threads: Option<String>,
    /// Stand in front of this LLM API (http://host:port/v1) at /v1, so that its answers survive
    /// dropped connections; may be given once
    #[arg(long, value_name = "URL")]
    llm: Option<String>,
    /// Share one stream among any number of clients: /stream=http://host:port/stream; may be
    /// repeated
    #[arg(long, value_name = "PATH=URL")]
    relay: Vec<String>,
    /// Origins of web pages that may use the server, with commas between; * for any
    #[arg(long, value_name = "LIST")]
    cors_origins: Option<String>,
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let agree = self.acme_agree_terms.then(|| "true".to_owned());
        [
            ("server.listen", "--listen", &self.listen),
            ("tls.certificate", "--tls-certificate", &self.tls_certificate),
            ("tls.key", "--tls-key", &self.tls_key),
            ("tls.acme.domains", "--acme-domains", &self.acme_domains),
            ("tls.acme.contact", "--acme-contact", &self.acme_contact),
            ("tls.acme.agree_terms", "--acme-agree-terms", &agree),
            ("server.data_dir", "--data-dir", &self.data_dir),
            ("server.durability", "--durability", &self.durability),
            ("anonymous", "--anonymous", &self.anonymous),
            ("server.heartbeat", "--heartbeat", &self.heartbeat),
            ("server.io_threads", "--io-threads", &self.io_threads),
            ("server.cors_origins", "--cors-origins", &self.cors_origins),
            (config::LLM_FLAG, "--llm", &self.llm),
        ]
        .into_iter()
        .filter_map(|(path, name, value)| {
            value.as_ref().map(|value| Flag { path, name, value: value.clone() })
        })
        .chain(self.relay.iter().map(|value| Flag {
            path: config::SHARED_FLAG,
            name: "--relay",
            value: value.clone(),
        }))
        .collect()
    }

    /// Reads and checks the configuration as the server would.
    pub(crate) fn load(&self, mode: Mode) -> anyhow::Result<Loaded> {
        self.load_with(mode, &[])
    }

    fn load_with(&self, mode: Mode, more: &[Flag]) -> anyhow::Result<Loaded> {
        let flags = [&self.flags(), more].concat();
        let usage = |error: config::ConfigError| Exit::new(Reason::Usage, error.to_string());
        let file = self.config.as_deref().map(File::read).transpose().map_err(usage)?;
        let loaded = config::environment()
            .and_then(|environment| config::load(mode, file.as_ref(), environment, &flags));
        Ok(loaded.map_err(usage)?)
    }
}

pub(crate) fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = arguments.load(Mode::Serve)?;
    report_to_stderr();
    tidings_server::warn_of_open_files(&loaded);
    let config = loaded.config;
    tidings_server::run(config, |ready| {
        let more = [
            ready.tls.filter(|tls| *tls != ready.address).map(|tls| format!(", https://{tls}")),
            ready.operator.map(|operator| format!(", operator: http://{operator}")),
        ];
        let more: String = more.into_iter().flatten().collect();
        terminal::note(&format!("tidings {} on {}{more}", env!("CARGO_PKG_VERSION"), ready.url()));
    })?;
    Ok(())
}

pub(crate) fn dev(arguments: &Arguments) -> anyhow::Result<()> {
    let config = arguments.load(Mode::Dev)?.config;
    // Without a model there is a text that says so, for whoever wants to see how it works.
    let (config, demo) = if config.llm_relays.is_empty() {
        let upstream = tidings_scripted::Upstream::start()?;
        upstream.play(tidings_scripted::demo());
        let flags = [Flag { path: config::LLM_FLAG, name: "--llm", value: upstream.url() }];
        (arguments.load_with(Mode::Dev, &flags)?.config, Some(upstream))
    } else {
        (config, None)
    };
    report_to_stderr();
    let welcome = Welcome::of(&config, demo.is_some());
    tidings_server::run(config, |ready| {
        crate::dev::start(ready.url());
        welcome.print(ready);
    })?;
    Ok(())
}

/// What the server reports (damage, a full disk, refused connections) goes to stderr, a line each.
fn report_to_stderr() {
    let paint = Paint::stderr();
    let reports = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(paint.is_on())
        .with_target(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO);
    // A second one is refused, and the first does the same.
    let _ = reports.try_init();
}

/// What `tidings dev` says once it listens.
struct Welcome {
    data_dir: PathBuf,
    /// Where the LLM relay is mounted, and whether there is a model behind it.
    llm: Option<(String, bool)>,
}

impl Welcome {
    fn of(config: &Config, scripted: bool) -> Self {
        let llm = config.llm_relays.first().map(|llm| (llm.path.clone(), !scripted));
        Self { data_dir: config.data_dir.clone(), llm }
    }

    fn print(&self, ready: &Ready) {
        // Standard output may be closed; the server serves all the same.
        let _ = terminal::line(&self.text(&ready.url(), Paint::stdout()));
    }

    fn text(&self, url: &str, paint: Paint) -> String {
        let label = |text: &str| paint.text(Style::Faint, &format!("{text:<9}"));
        let command = |text: String| paint.text(Style::Cyan, &text);
        let llm = self.llm.as_ref().map_or(String::new(), |(path, model)| {
            let what = if *model { "" } else { "  (scripted answers; a model: --llm URL)" };
            let base = command(format!("{url}{path}"));
            format!("  {} {base}{}\n", label("llm"), paint.text(Style::Faint, what))
        });
        format!(
            "{} {}  {}\n\n  {} {}\n  {} {}\n  {} {}\n{llm}",
            paint.text(Style::Strong, "Tidings is ready on"),
            paint.text(Style::Green, url),
            paint.text(
                Style::Faint,
                &format!("(events in {}, Ctrl-C stops)", self.data_dir.display())
            ),
            label("follow"),
            command(format!("curl -N {url}/topics/hello")),
            label("publish"),
            command(format!("curl {url}/topics/hello -d 'Hello, world'")),
            label("browser"),
            command(format!("{url}/")),
        )
    }
}
