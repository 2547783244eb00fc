//! The curve P-256 (FIPS 186-5, SP 800-186), written out: enough to agree on a secret and to check
//! a signature.
//!
//! It is here so that a test can look at what the product's library made without asking that
//! library. It is slow and not constant in time, and its keys are those of tests.

/// A number below 2^256, least significant word first.
type Number = [u64; 4];

const fn number(text: &str) -> Number {
    let digits = text.as_bytes();
    let mut number = [0; 4];
    let mut at = 0;
    while at < 64 {
        let digit = digits[at];
        let value = if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        number[3 - at / 16] = number[3 - at / 16] << 4 | value as u64;
        at += 1;
    }
    number
}

const P: Number = number("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
const N: Number = number("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
const B: Number = number("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");
const GX: Number = number("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
const GY: Number = number("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");

fn from_bytes(bytes: &[u8; 32]) -> Number {
    std::array::from_fn(|word| {
        let at = 24 - 8 * word;
        u64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]))
    })
}

fn to_bytes(number: Number) -> [u8; 32] {
    std::array::from_fn(|at| number[3 - at / 8].to_be_bytes()[at % 8])
}

fn less(a: Number, b: Number) -> bool {
    a.iter().rev().cmp(b.iter().rev()).is_lt()
}

/// `a - b`, and whether it went below 0.
fn minus(a: Number, b: Number) -> (Number, bool) {
    let mut borrow = false;
    let out = std::array::from_fn(|at| {
        let (word, first) = a[at].overflowing_sub(b[at]);
        let (word, second) = word.overflowing_sub(u64::from(borrow));
        borrow = first || second;
        word
    });
    (out, borrow)
}

/// `a + b`, and whether it went over 2^256.
fn plus(a: Number, b: Number) -> (Number, bool) {
    let mut carry = false;
    let out = std::array::from_fn(|at| {
        let (word, first) = a[at].overflowing_add(b[at]);
        let (word, second) = word.overflowing_add(u64::from(carry));
        carry = first || second;
        word
    });
    (out, carry)
}

/// Arithmetic modulo an odd number, of numbers below it.
#[derive(Clone, Copy)]
struct Field {
    modulus: Number,
    /// `-1 / modulus` modulo 2^64.
    inverse: u64,
    /// 2^512 modulo the modulus.
    square: Number,
}

impl Field {
    fn new(modulus: Number) -> Self {
        // Newton's iteration doubles the right bits each time.
        let mut inverse = 1_u64;
        for _ in 0..6 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)));
        }
        let mut field = Self { modulus, inverse: inverse.wrapping_neg(), square: [0; 4] };
        let mut power = [1, 0, 0, 0];
        for _ in 0..512 {
            power = field.add(power, power);
        }
        field.square = power;
        field
    }

    fn add(&self, a: Number, b: Number) -> Number {
        let (sum, carry) = plus(a, b);
        if carry || !less(sum, self.modulus) { minus(sum, self.modulus).0 } else { sum }
    }

    fn sub(&self, a: Number, b: Number) -> Number {
        let (difference, below) = minus(a, b);
        if below { plus(difference, self.modulus).0 } else { difference }
    }

    /// `a * b / 2^256` (Montgomery).
    fn reduced(&self, a: Number, b: Number) -> Number {
        let mut sum = [0_u64; 6];
        for word in a {
            let mut carry = 0;
            for at in 0..4 {
                carry += u128::from(sum[at]) + u128::from(word) * u128::from(b[at]);
                sum[at] = carry as u64;
                carry >>= 64;
            }
            carry += u128::from(sum[4]);
            (sum[4], sum[5]) = (carry as u64, (carry >> 64) as u64);
            let factor = u128::from(sum[0].wrapping_mul(self.inverse));
            carry = (u128::from(sum[0]) + factor * u128::from(self.modulus[0])) >> 64;
            for at in 1..4 {
                carry += u128::from(sum[at]) + factor * u128::from(self.modulus[at]);
                sum[at - 1] = carry as u64;
                carry >>= 64;
            }
            carry += u128::from(sum[4]);
            sum[3] = carry as u64;
            sum[4] = sum[5] + (carry >> 64) as u64;
        }
        let out = [sum[0], sum[1], sum[2], sum[3]];
        let over = sum[4] > 0 || !less(out, self.modulus);
        if over { minus(out, self.modulus).0 } else { out }
    }

    fn mul(&self, a: Number, b: Number) -> Number {
        self.reduced(self.reduced(a, b), self.square)
    }

    /// `1 / a`, by Fermat: the modulus is prime.
    fn invert(&self, a: Number) -> Number {
        let exponent = minus(self.modulus, [2, 0, 0, 0]).0;
        let mut out = [1, 0, 0, 0];
        for bit in bits(exponent) {
            out = self.mul(out, out);
            if bit {
                out = self.mul(out, a);
            }
        }
        out
    }
}

/// The bits, highest first.
fn bits(number: Number) -> impl Iterator<Item = bool> {
    (0..256).rev().map(move |at| number[at / 64] >> (at % 64) & 1 == 1)
}

/// A point in Jacobian coordinates; `z` is 0 at infinity.
#[derive(Clone, Copy)]
struct Point {
    x: Number,
    y: Number,
    z: Number,
}

const INFINITY: Point = Point { x: [1, 0, 0, 0], y: [1, 0, 0, 0], z: [0; 4] };

fn double(p: &Field, a: Point) -> Point {
    let (delta, gamma) = (p.mul(a.z, a.z), p.mul(a.y, a.y));
    let beta = p.mul(a.x, gamma);
    let slope = p.mul(p.sub(a.x, delta), p.add(a.x, delta));
    let slope = p.add(slope, p.add(slope, slope));
    let twice = |n: Number| p.add(n, n);
    let four = twice(twice(beta));
    let x = p.sub(p.mul(slope, slope), twice(four));
    let sum = p.add(a.y, a.z);
    let z = p.sub(p.sub(p.mul(sum, sum), gamma), delta);
    let eight = twice(twice(twice(p.mul(gamma, gamma))));
    let y = p.sub(p.mul(slope, p.sub(four, x)), eight);
    Point { x, y, z }
}

fn add(p: &Field, a: Point, b: Point) -> Point {
    if a.z == [0; 4] || b.z == [0; 4] {
        return if a.z == [0; 4] { b } else { a };
    }
    let (za, zb) = (p.mul(a.z, a.z), p.mul(b.z, b.z));
    let (ua, ub) = (p.mul(a.x, zb), p.mul(b.x, za));
    let (sa, sb) = (p.mul(a.y, p.mul(b.z, zb)), p.mul(b.y, p.mul(a.z, za)));
    let (h, r) = (p.sub(ub, ua), p.sub(sb, sa));
    if h == [0; 4] {
        return if r == [0; 4] { double(p, a) } else { INFINITY };
    }
    let square = p.mul(h, h);
    let (cube, v) = (p.mul(h, square), p.mul(ua, square));
    let x = p.sub(p.sub(p.mul(r, r), cube), p.add(v, v));
    let y = p.sub(p.mul(r, p.sub(v, x)), p.mul(sa, cube));
    Point { x, y, z: p.mul(h, p.mul(a.z, b.z)) }
}

fn times(p: &Field, a: Point, scalar: Number) -> Point {
    bits(scalar).fold(INFINITY, |sum, bit| {
        let sum = double(p, sum);
        if bit { add(p, sum, a) } else { sum }
    })
}

/// The two coordinates; none at infinity.
fn affine(p: &Field, a: Point) -> Option<(Number, Number)> {
    let inverse = (a.z != [0; 4]).then(|| p.invert(a.z))?;
    let square = p.mul(inverse, inverse);
    Some((p.mul(a.x, square), p.mul(a.y, p.mul(square, inverse))))
}

/// A point from its uncompressed form, if it is one of the curve's.
fn point(p: &Field, bytes: &[u8; 65]) -> Option<Point> {
    let half = |from: usize| from_bytes(&std::array::from_fn(|at| bytes[from + at]));
    let (x, y) = (half(1), half(33));
    let three = p.add(x, p.add(x, x));
    let right = p.add(p.sub(p.mul(x, p.mul(x, x)), three), B);
    let on_it = bytes[0] == 4 && less(x, P) && less(y, P) && p.mul(y, y) == right;
    on_it.then_some(Point { x, y, z: [1, 0, 0, 0] })
}

/// The public key of a private one, uncompressed.
pub(super) fn public(private: &[u8; 32]) -> [u8; 65] {
    let p = Field::new(P);
    let point = times(&p, Point { x: GX, y: GY, z: [1, 0, 0, 0] }, from_bytes(private));
    let (x, y) = affine(&p, point).expect("a private key is not 0");
    let (x, y) = (to_bytes(x), to_bytes(y));
    std::array::from_fn(|at| match at {
        0 => 4,
        1..33 => x[at - 1],
        _ => y[at - 33],
    })
}

/// What two parties agree on (ECDH, SEC 1, section 3.3.1); none if the other's key is none.
pub(super) fn agree(private: &[u8; 32], other: &[u8; 65]) -> Option<[u8; 32]> {
    let p = Field::new(P);
    let shared = times(&p, point(&p, other)?, from_bytes(private));
    affine(&p, shared).map(|(x, _)| to_bytes(x))
}

/// Whether `signature` (r and s) is the key's, of something with this SHA-256 (ECDSA, FIPS 186-5,
/// section 6.4.2).
pub(super) fn verify(key: &[u8; 65], hash: &[u8; 32], signature: &[u8; 64]) -> bool {
    let (p, n) = (Field::new(P), Field::new(N));
    let half = |from: usize| from_bytes(&std::array::from_fn(|at| signature[from + at]));
    let (r, s) = (half(0), half(32));
    let usable = |number: Number| number != [0; 4] && less(number, N);
    let Some(key) = point(&p, key).filter(|_| usable(r) && usable(s)) else { return false };
    let hash = from_bytes(hash);
    let hash = if less(hash, N) { hash } else { minus(hash, N).0 };
    let inverse = n.invert(s);
    let base = times(&p, Point { x: GX, y: GY, z: [1, 0, 0, 0] }, n.mul(hash, inverse));
    let sum = add(&p, base, times(&p, key, n.mul(r, inverse)));
    let Some((x, _)) = affine(&p, sum) else { return false };
    (if less(x, N) { x } else { minus(x, N).0 }) == r
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 6979, appendix A.2.5: the key, and the signature of "sample" with SHA-256.
    #[test]
    fn the_example_of_rfc_6979() {
        let private = bytes("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let key = public(&private);
        let x = bytes("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        let y = bytes("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
        assert_eq!((&key[1..33], &key[33..]), (&x as &[u8; 32] as &[u8], &y as &[u8; 32] as &[u8]));
        let hash = bytes("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
        let mut signature = bytes(
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        );
        assert!(verify(&key, &hash, &signature));
        signature[40] ^= 1;
        assert!(!verify(&key, &hash, &signature));
    }

    #[test]
    fn both_sides_agree() {
        let (a, b) = ([7; 32], [9; 32]);
        assert_eq!(agree(&a, &public(&b)), agree(&b, &public(&a)));
        let mut off = public(&a);
        off[64] ^= 1;
        assert_eq!(agree(&b, &off), None);
    }
}
