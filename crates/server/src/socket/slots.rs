//! A table of connections with keys that are never mistaken for a later connection's.

/// Names an entry; a key of an entry that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// As epoll carries it.
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_u64(raw: u64) -> Self {
        // The halves of a u64.
        Self { index: raw as u32, generation: (raw >> 32) as u32 }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// How many places the table has; for walking it in portions.
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return Key { index, generation: slot.generation };
        }
        let index = u32::try_from(self.slots.len()).expect("file descriptors run out long before");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        // The two largest generations are left out, so that no key collides with the loop's own.
        slot.generation = (slot.generation + 1) % (u32::MAX - 1);
        self.free.push(key.index);
        Some(value)
    }

    /// Puts something else in an entry's place, under the same key.
    pub(crate) fn replace(&mut self, key: Key, with: impl FnOnce(T) -> T) {
        let slot = self.slots.get_mut(key.index as usize);
        if let Some(slot) = slot.filter(|slot| slot.generation == key.generation) {
            slot.value = slot.value.take().map(with);
        }
    }

    /// The key of what is at this place.
    pub(crate) fn at(&self, place: usize) -> Option<Key> {
        let slot = self.slots.get(place)?;
        slot.value.as_ref()?;
        Some(Key { index: u32::try_from(place).ok()?, generation: slot.generation })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.slots.len()).filter_map(|place| {
            let key = self.at(place)?;
            Some((key, self.get(key)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing() {
        let mut slots = Slots::new();
        let a = slots.insert('a');
        assert_eq!(slots.remove(a), Some('a'));
        let b = slots.insert('b');
        assert_eq!((slots.get(a), slots.get(b)), (None, Some(&'b')));
        assert_eq!(slots.remove(a), None);
        assert_eq!(slots.places(), 1);
        assert_eq!(Key::from_u64(b.to_u64()), b);
    }
}
