//! The peer: LiteLLM's proxy, one worker, in front of the same upstream.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, BenchError};

/// The program, below the folder of the peers.
pub(crate) const PROGRAM: &str = "litellm/venv/bin/litellm";

/// What answers with 200 once it is ready.
pub(crate) const READY_PATH: &str = "/health/liveliness";

/// A command that serves on `address` with the bench's upstream behind it. It gets nothing of this
/// process's environment, asks nobody for prices of models, and reports to nobody.
pub(crate) fn command(
    bench: &Bench,
    address: SocketAddrV4,
    folder: &Path,
) -> Result<Command, BenchError> {
    let upstream = bench.upstream.ok_or(BenchError::Never("an upstream to be started"))?;
    let configuration = folder.join("litellm.yaml");
    let written = fs::write(&configuration, configured(upstream));
    written.map_err(|error| BenchError::Io("configuring litellm", error))?;
    let program = bench.options.peers.join(PROGRAM);
    let program = fs::canonicalize(program.parent().unwrap_or(Path::new(".")))
        .map_err(|error| BenchError::Io("finding litellm", error))?
        .join("litellm");
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    command.env("PYTHONUNBUFFERED", "1").current_dir(folder);
    command.arg("--config").arg(configuration).args(["--telemetry", "False"]);
    command.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--num_workers", "1"]);
    Ok(command)
}

fn configured(upstream: SocketAddrV4) -> String {
    format!(
        "model_list:\n  - model_name: scripted\n    litellm_params:\n      \
         model: openai/scripted\n      api_base: http://{upstream}/v1\n      api_key: none\n\
         litellm_settings:\n  telemetry: false\n  num_retries: 0\n  request_timeout: 600\n"
    )
}
