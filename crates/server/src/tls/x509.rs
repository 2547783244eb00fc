//! What the server has to know of a certificate (RFC 5280, section 4.1): from when until when it
//! counts, and by what its authority knows it.
//!
//! Only that is read; whether a certificate is in order is for rustls to say.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Tags of DER (X.690, section 8.1.2).
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const KEY_IDENTIFIER: u8 = 0x80;

/// The object identifier of the extension that names the authority's key, 2.5.29.35.
const AUTHORITY_KEY_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 0x23];

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Seconds since 1970.
    pub(crate) not_before: i64,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
    /// The content of the serial number, with a leading zero if it has one.
    pub(crate) serial: Vec<u8>,
    /// By what the authority's key is known, if it says so.
    pub(crate) authority: Option<Vec<u8>>,
}

/// Reads a certificate in DER; none if it is none.
pub(crate) fn read(certificate: &[u8]) -> Option<Known> {
    let (whole, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(whole, SEQUENCE)?;
    if let Some((_, after)) = expect(rest, VERSION) {
        rest = after;
    }
    let (serial, rest) = expect(rest, INTEGER)?;
    // The algorithm of the signature, and the issuer.
    let (_, rest) = expect(rest, SEQUENCE)?;
    let (_, rest) = expect(rest, SEQUENCE)?;
    let (validity, mut rest) = expect(rest, SEQUENCE)?;
    let (not_before, later) = time(validity)?;
    let (not_after, _) = time(later)?;
    let mut authority = None;
    while let Some((tag, content, after)) = element(rest) {
        if tag == EXTENSIONS {
            authority = key_identifier(content);
        }
        rest = after;
    }
    Some(Known { not_before, not_after, serial: serial.to_vec(), authority })
}

fn key_identifier(extensions: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, _) = expect(extensions, SEQUENCE)?;
    while let Some((extension, after)) = expect(rest, SEQUENCE) {
        rest = after;
        let (oid, mut parts) = expect(extension, OID)?;
        if oid != AUTHORITY_KEY_IDENTIFIER {
            continue;
        }
        // Whether it is critical may stand before the value.
        while let Some((tag, content, after)) = element(parts) {
            if tag == OCTETS {
                let (inner, _) = expect(content, SEQUENCE)?;
                return expect(inner, KEY_IDENTIFIER).map(|(id, _)| id.to_vec());
            }
            parts = after;
        }
    }
    None
}

/// The first element: its tag, its content, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (long, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if long.is_empty() || long.len() > 4 {
            return None;
        }
        length = long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// The content of the first element, which has this tag, and what comes after it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, after)| (content, after))
}

/// A time (RFC 5280, section 4.1.2.5), always in UTC and with seconds.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, after) = element(bytes)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i16 = digits(text.get(..2)?)?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => (digits(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |index: usize| digits(rest.get(2 * index..2 * index + 2)?)?.try_into().ok();
    let time = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    Some((time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second(), after))
}

fn digits(text: &str) -> Option<i16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair};
    use rcgen::{SerialNumber, date_time_ymd};

    use super::*;

    /// 2024-02-29 and 2049-12-31, both at midnight, in seconds since 1970.
    const FEBRUARY: i64 = 1_709_164_800;
    const LAST_OF_UTC_TIME: i64 = 2_524_521_600;

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2049, 12, 31);
        params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65]));
        params
    }

    #[test]
    fn reads_what_was_written() {
        let key = KeyPair::generate().unwrap();
        let known = read(params().self_signed(&key).unwrap().der()).unwrap();
        let Known { not_before, not_after, serial, authority } = known;
        assert_eq!((not_before, not_after), (FEBRUARY, LAST_OF_UTC_TIME));
        assert_eq!(serial, [0, 0x87, 0x65], "with the zero that keeps it positive");
        assert_eq!(authority, None);
    }

    #[test]
    fn reads_the_years_of_both_forms() {
        for (year, day) in [(1970, 0), (1999, 10_592), (2050, 29_220), (2999, 375_835)] {
            let key = KeyPair::generate().unwrap();
            let mut params = params();
            params.not_before = date_time_ymd(year, 1, 1);
            let known = read(params.self_signed(&key).unwrap().der()).unwrap();
            assert_eq!(known.not_before, day * 86_400, "{year}");
        }
    }

    #[test]
    fn reads_by_what_the_authority_is_known() {
        let (own, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_identifier_method = KeyIdMethod::PreSpecified(vec![1, 2, 3, 4]);
        let issuer = Issuer::new(authority, own);
        let mut params = params();
        params.use_authority_key_identifier_extension = true;
        let known = read(params.signed_by(&key, &issuer).unwrap().der()).unwrap();
        assert_eq!(known.authority, Some(vec![1, 2, 3, 4]));
    }

    #[test]
    fn nothing_that_is_cut_or_changed_makes_it_stumble() {
        let key = KeyPair::generate().unwrap();
        let whole = params().self_signed(&key).unwrap().der().to_vec();
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "cut at {end}");
        }
        let mut refused = 0;
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                refused += usize::from(read(&bytes).is_none());
            }
        }
        assert!(refused > 50, "{refused}");
    }

    #[test]
    fn two_digits_of_a_year_are_of_this_century_below_fifty() {
        let of = |text: &str| time(&[&[UTC_TIME, 13][..], text.as_bytes()].concat()).unwrap().0;
        assert_eq!(of("500101000000Z"), -631_152_000);
        assert_eq!(of("491231000000Z"), LAST_OF_UTC_TIME);
    }

    #[test]
    fn a_date_that_does_not_exist_is_refused() {
        let of = |text: &str| time(&[&[UTC_TIME, 13][..], text.as_bytes()].concat()).is_some();
        assert!(of("240229000000Z"));
        for text in ["230229000000Z", "241301000000Z", "240101240000Z", "24010100000+Z"] {
            assert!(!of(text), "{text}");
        }
    }
}
