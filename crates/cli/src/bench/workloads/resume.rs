//! x
use crate::bench::BenchError;
use crate::bench::options::Options;
use crate::bench::result::Outcome;
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    options: Options,
}
pub(crate) fn run(args: ResumeArgs) -> Result<(Options, Outcome), BenchError> {
    let _ = args.options;
    Err(BenchError::Url)
}
