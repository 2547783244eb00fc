//! Five hundred made-up instruments whose prices wander.

/// How many instruments there are.
pub(super) const INSTRUMENTS: usize = 500;

/// The largest step of a price, in parts of itself.
const STEP: f64 = 0.002;

/// Prices stay between these, in no currency.
const PRICE_MIN: f64 = 1.0;
const PRICE_MAX: f64 = 5_000.0;

/// One instrument.
struct Instrument {
    symbol: String,
    price: f64,
    /// How often its price has changed, so that a reader can tell what it was spared.
    count: u64,
}

/// All of them, and the dice.
pub(super) struct Market {
    instruments: Vec<Instrument>,
    random: u64,
}

/// A price that has changed.
pub(super) struct Tick {
    pub(super) symbol: String,
    pub(super) price: f64,
    pub(super) count: u64,
}

impl Market {
    /// A market in which everything follows from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut market = Self { instruments: Vec::new(), random: seed | 1 };
        for number in 0..INSTRUMENTS {
            let price = 20.0 + 480.0 * market.next().powi(2);
            market.instruments.push(Instrument { symbol: symbol(number), price, count: 0 });
        }
        market
    }

    /// Changes the price of one instrument.
    pub(super) fn tick(&mut self) -> Tick {
        let number = (self.next() * self.instruments.len() as f64) as usize;
        let step = 1.0 + STEP * (2.0 * self.next() - 1.0);
        let instrument = &mut self.instruments[number.min(INSTRUMENTS - 1)];
        instrument.price = (instrument.price * step).clamp(PRICE_MIN, PRICE_MAX);
        instrument.count += 1;
        Tick { symbol: instrument.symbol.clone(), price: instrument.price, count: instrument.count }
    }

    /// The next of a sequence between 0 and 1 (xorshift64*, Vigna 2016).
    fn next(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

/// A name of four letters that can be said, one for each number below 2,000.
fn symbol(number: usize) -> String {
    const FIRST: &[u8; 20] = b"BCDFGHJKLMNPRSTVWXZQ";
    const VOWEL: &[u8; 5] = b"AEIOU";
    const LAST: &[u8; 4] = b"NRXT";
    let (first, rest) = (FIRST[number % 20], number / 20);
    let (vowel, rest) = (VOWEL[rest % 5], rest / 5);
    let (middle, rest) = (FIRST[(rest * 7 + number) % 20], rest);
    [first, vowel, middle, LAST[rest % 4]].map(char::from).iter().collect::<String>()
        + &(if rest >= 4 { (rest / 4).to_string() } else { String::new() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_instrument_has_a_name_of_its_own() {
        let names: HashSet<String> = (0..INSTRUMENTS).map(symbol).collect();
        assert_eq!(names.len(), INSTRUMENTS);
    }

    #[test]
    fn prices_move_within_bounds_and_changes_are_counted() {
        let mut market = Market::new(7);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let tick = market.tick();
            assert!((PRICE_MIN..=PRICE_MAX).contains(&tick.price));
            let count = counts.entry(tick.symbol).or_insert(0);
            *count += 1;
            assert_eq!(tick.count, *count);
        }
        assert_eq!(counts.len(), INSTRUMENTS);
    }
}
