//! Any event stream: here the doctor can only watch what comes.

use hyper::Method;

use super::checks::{cors, flow, head, lasting, resume};
use super::finding::{Check, Finding, Verdict};
use super::plan::Plan;
use super::progress::Progress;
use super::proxy::recognise;
use super::record::{Listening, Record};
use super::report::{Kind, Report};
use super::wire::Ask;

/// Why the rest is not tested when there is no stream.
const NO_STREAM: &str = "there is no event stream";

/// All checks of a stream whose sender is not ours.
pub(super) async fn examine(plan: &Plan, progress: &Progress) -> Report {
    let ask = plan.stream(plan.uri.clone());
    let time = [Some(plan.observe), plan.idle, plan.length].into_iter().flatten().max();
    let time = time.unwrap_or(plan.observe);
    let stream = lasting::listen(ask.clone().with("accept-encoding", "identity"), time);
    let stream = progress.along("watching the stream", time, stream).await;
    let signs = recognise(stream.head.as_ref().map(|head| &head.2.headers).into_iter());
    let is_stream = head::stream(&stream);
    let mut findings = Vec::new();
    if stream.head.is_some() && is_stream.verdict == Verdict::Ok {
        findings.push(flow::first_byte_of_any(&stream, time));
        findings.push(flow::arrival(&stream, &signs));
        findings.push(head::headers(&stream, false, &signs));
        findings.push(compression(plan, &ask, progress).await);
        findings.push(resume(plan, &ask, &stream, progress).await);
        findings.extend(plan.idle.map(|_| lasting::idle_of_any(&stream, time)));
        findings.extend(plan.length.map(|_| lasting::length(&stream, time, false)));
        if let Some(origin) = &plan.origin {
            let mut stream = Listening::start(ask.clone().with("origin", origin));
            stream.until(plan.observe, |record| record.head.is_some()).await;
            findings.push(cors::check(ask, origin, &stream.record()).await);
        }
    } else {
        let rest = Check::ALL.into_iter().filter(|check| *check > Check::Stream);
        findings.extend(rest.map(|check| Finding::not_tested(check, NO_STREAM)));
    }
    if plan.publish_size.is_some() {
        findings.retain(|finding| finding.check != Check::Size);
        findings.push(Finding::not_tested(Check::Size, "it takes a Tidings server"));
    }
    findings.push(is_stream);
    Report::new(Kind::Any, findings, signs)
}

/// A second request, which accepts compression. A POST may cost money each time, so it is not
/// repeated.
async fn compression(plan: &Plan, ask: &Ask, progress: &Progress) -> Finding {
    if plan.method != Method::GET {
        return Finding::not_tested(Check::Compression, "a POST is sent only once");
    }
    let mut stream = Listening::start(ask.clone().with("accept-encoding", "gzip, br"));
    let watching = stream.until(plan.observe, |record: &Record| record.pieces.len() >= 2);
    progress.during("asking for compression", watching).await;
    let record = stream.record();
    if record.head.is_none() {
        return Finding::not_tested(Check::Compression, "no second answer came");
    }
    flow::compression_of_any(&record)
}

async fn resume(plan: &Plan, ask: &Ask, stream: &Record, progress: &Progress) -> Finding {
    if plan.method != Method::GET {
        return Finding::not_tested(Check::Resume, "a POST is sent only once");
    }
    progress.during("resuming", resume::check_any(ask.clone(), stream)).await
}
