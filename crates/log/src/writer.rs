//! The appending half of a log.

use crate::{
    AppendError, Appended, Durability, End, Event, EventError, NewTopic, Policy, ScheduleError,
    TopicError, TopicId,
};

/// A reusable buffer in which one atomic unit is encoded. `Batch::default()` is empty.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Nothing was pushed since the last append.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Events pushed since the last append.
    pub fn events(&self) -> usize {
        unimplemented!()
    }

    /// Encoded bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The only way to append: there is one per log. Fills one batch at a time: the first push into an empty batch abandons
/// what another one had collected. Dropping it without [`Writer::close`] is an unclean end, as if the process were killed.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// Creates a topic with the batch. The number may be used at once in the same batch; it is forgotten if the append
    /// fails or the batch is abandoned.
    ///
    /// # Errors
    /// The name is taken or unusable, or the fork is impossible.
    pub fn create_topic(
        &mut self,
        batch: &mut Batch,
        new: &NewTopic<'_>,
    ) -> Result<TopicId, TopicError> {
        let _ = (batch, new);
        unimplemented!()
    }

    /// Adds an event. Events get consecutive sequences in the order in which they are pushed.
    ///
    /// # Errors
    /// The event is refused; the batch is as it was.
    pub fn push(&mut self, batch: &mut Batch, event: &Event<'_>) -> Result<(), EventError> {
        let _ = (batch, event);
        unimplemented!()
    }

    /// Replaces a topic's policy (not `conflate`). What the old one removed stays removed.
    ///
    /// # Errors
    /// The change is refused; the batch is as it was.
    pub fn set_policy(
        &mut self,
        batch: &mut Batch,
        topic: TopicId,
        policy: &Policy,
    ) -> Result<(), TopicError> {
        let _ = (batch, topic, policy);
        unimplemented!()
    }

    /// Ends a topic: later pushes to it are refused. An event with `end` set does not do this by itself.
    ///
    /// # Errors
    /// The change is refused; the batch is as it was.
    pub fn close_topic(
        &mut self,
        batch: &mut Batch,
        topic: TopicId,
        end: End,
    ) -> Result<(), TopicError> {
        let _ = (batch, topic, end);
        unimplemented!()
    }

    /// Removes the topic's events with sequences up to and including `through` (those of this batch too).
    ///
    /// # Errors
    /// The change is refused; the batch is as it was.
    pub fn trim(
        &mut self,
        batch: &mut Batch,
        topic: TopicId,
        through: u64,
    ) -> Result<(), TopicError> {
        let _ = (batch, topic, through);
        unimplemented!()
    }

    /// Removes a topic with all its events. Its name is free again after the append.
    ///
    /// # Errors
    /// It has forks, or does not exist; the batch is as it was.
    pub fn delete_topic(&mut self, batch: &mut Batch, topic: TopicId) -> Result<(), TopicError> {
        let _ = (batch, topic);
        unimplemented!()
    }

    /// Stores a timer: [`Log::schedules`](crate::Log::schedules) lists it until [`Writer::unschedule`]. Returns its id.
    ///
    /// # Errors
    /// The timer is refused; the batch is as it was.
    pub fn schedule(
        &mut self,
        batch: &mut Batch,
        due_ms: u64,
        payload: &[u8],
    ) -> Result<u64, ScheduleError> {
        let _ = (batch, due_ms, payload);
        unimplemented!()
    }

    /// Removes a timer; an unknown id is no error.
    ///
    /// # Errors
    /// The batch is full.
    pub fn unschedule(&mut self, batch: &mut Batch, id: u64) -> Result<(), ScheduleError> {
        let _ = (batch, id);
        unimplemented!()
    }

    /// Writes the batch and makes it readable. `Memory` leaves the bytes in the process, `Written` hands everything so far
    /// to the kernel, `Synced` does the same and the caller then waits until [`Log::synced`](crate::Log::synced) has reached
    /// [`Appended::batch`]. The batch is empty afterwards, also on error.
    ///
    /// # Errors
    /// Nothing of the batch is in the log.
    pub fn append(
        &mut self,
        batch: &mut Batch,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        let _ = (batch, durability);
        unimplemented!()
    }

    /// Hands to the kernel what memory-durable appends left in the process.
    ///
    /// # Errors
    /// It stays in the process and readable.
    pub fn flush(&mut self) -> Result<(), AppendError> {
        unimplemented!()
    }

    /// The sequence that the next event will get.
    pub fn next_sequence(&self) -> u64 {
        unimplemented!()
    }

    /// Writes and syncs everything and ends this life cleanly. `Log` handles go on reading; the folder is free.
    ///
    /// # Errors
    /// The end is unclean, as after a crash.
    pub fn close(self) -> Result<(), AppendError> {
        unimplemented!()
    }
}
