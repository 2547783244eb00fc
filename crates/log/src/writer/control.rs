//! Changes to topics and timers: they travel in the same batches as events, hence are atomic with
//! them.

use super::{Batch, Head, NewPolicy, Writer};
use crate::record::{self, Control};
use crate::{End, Fork, NewTopic, Policy, ScheduleError, TopicError, TopicId, limits};

impl Writer {
    /// Creates a topic with the batch. The number may be used at once in the same batch; it is
    /// forgotten if the append fails or the batch is abandoned.
    ///
    /// # Errors
    /// The name is taken or unusable, or the fork is impossible.
    pub fn create_topic(
        &mut self,
        batch: &mut Batch,
        new: &NewTopic<'_>,
    ) -> Result<TopicId, TopicError> {
        self.begin(batch);
        if new.name.is_empty() || new.name.len() > limits::NAME_BYTES_MAX {
            return Err(TopicError::NameLength(new.name.len()));
        }
        if let Some(known) = self.named(batch, new.name) {
            return Err(TopicError::Exists(known));
        }
        check_room(batch, &new.policy, new.name.len())?;
        let depth = self.check_fork(new)?;
        if self.next_topic == u32::MAX {
            return Err(TopicError::NoNumbers);
        }
        let id = TopicId(self.next_topic);
        self.next_topic += 1;
        if let Some(fork) = new.forked_from {
            self.change(fork.source, |source| source.forks += 1);
        }
        self.undo.push((id, None));
        self.heads.insert(
            id,
            Head {
                next_ordinal: 0,
                conflate: new.policy.conflate,
                closed: false,
                depth,
                forks: 0,
                source: new.forked_from.map(|fork| fork.source),
            },
        );
        self.policies.insert(id, NewPolicy { retention: new.policy.retention, floor: 0 });
        batch.created.insert(new.name.into(), id);
        let created_at = self.next_in(batch);
        let newest = created_at - 1;
        let fork = new.forked_from.map(|fork| Fork { through: fork.through.min(newest), ..fork });
        self.encode(
            batch,
            &Control::TopicDefined {
                id,
                name: new.name,
                policy: new.policy.clone(),
                fork,
                time_ms: new.time_ms,
                created_at,
            },
        );
        Ok(id)
    }

    /// The live topic of this name, as of this point of the batch.
    fn named(&self, batch: &Batch, name: &str) -> Option<TopicId> {
        let created = batch.created.get(name).copied();
        let known = created.or_else(|| self.shared.read().names.get(name).copied());
        known.filter(|id| self.heads.contains_key(id))
    }

    /// The depth of the new topic in its chain of forks.
    fn check_fork(&self, new: &NewTopic<'_>) -> Result<u8, TopicError> {
        let Some(fork) = new.forked_from else {
            return Ok(0);
        };
        let source = self.heads.get(&fork.source).ok_or(TopicError::Unknown(fork.source))?;
        if source.conflate || new.policy.conflate {
            return Err(TopicError::ForkConflates);
        }
        if usize::from(source.depth) + 1 >= limits::FORK_DEPTH_MAX {
            return Err(TopicError::ForkDepth);
        }
        Ok(source.depth + 1)
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
        self.begin(batch);
        let head = *self.heads.get(&topic).ok_or(TopicError::Unknown(topic))?;
        if head.conflate != policy.conflate {
            return Err(TopicError::ConflationFixed);
        }
        check_room(batch, policy, 0)?;
        let floor = self.floor_in(batch, topic, &head);
        let control = Control::PolicySet { id: topic, policy: policy.clone(), floor };
        let retention = policy.retention;
        self.policies.insert(topic, NewPolicy { retention, floor });
        self.encode(batch, &control);
        Ok(())
    }

    /// What the topic's policy has removed up to this point of the batch.
    fn floor_in(&self, batch: &Batch, topic: TopicId, head: &Head) -> u64 {
        let (settled, known) = {
            let table = self.shared.read();
            let found = table.topics.get(&topic);
            found.map_or_else(Default::default, |found| (found.floor, found.policy.retention))
        };
        let NewPolicy { retention, floor } = match self.policies.get(&topic) {
            Some(new) => *new,
            None => NewPolicy { retention: known, floor: 0 },
        };
        let settled = settled.max(floor);
        let removed = match retention.count {
            Some(count) if !head.conflate => head.next_ordinal.saturating_sub(count),
            _ => 0,
        };
        let age = retention.age_ms;
        let now = self.shared.clock();
        // If the index cannot be read, what is already settled is still right.
        let floor = self.shared.floor_by(topic, removed, age, now, 0).unwrap_or(0);
        let here = batch.collected.newest_below(topic, removed).unwrap_or(0);
        settled.max(floor).max(here)
    }

    /// Ends a topic: later pushes to it are refused. An event with `end` set does not do this by
    /// itself.
    ///
    /// # Errors
    /// The change is refused; the batch is as it was.
    pub fn close_topic(
        &mut self,
        batch: &mut Batch,
        topic: TopicId,
        end: End,
    ) -> Result<(), TopicError> {
        self.begin(batch);
        let head = self.heads.get(&topic).ok_or(TopicError::Unknown(topic))?;
        if head.closed {
            return Err(TopicError::Closed);
        }
        self.check_small(batch)?;
        self.change(topic, |head| head.closed = true);
        self.encode(batch, &Control::Closed { id: topic, end });
        Ok(())
    }

    /// Removes the topic's events with sequences up to and including `through` (those of this batch
    /// too).
    ///
    /// # Errors
    /// The change is refused; the batch is as it was.
    pub fn trim(
        &mut self,
        batch: &mut Batch,
        topic: TopicId,
        through: u64,
    ) -> Result<(), TopicError> {
        self.begin(batch);
        if !self.heads.contains_key(&topic) {
            return Err(TopicError::Unknown(topic));
        }
        self.check_small(batch)?;
        // What is to come cannot be trimmed.
        let through = through.min(self.next_in(batch) - 1);
        self.encode(batch, &Control::Trimmed { id: topic, through });
        Ok(())
    }

    /// Removes a topic with all its events. Its name is free again at once, in this batch too.
    ///
    /// # Errors
    /// It has forks, or does not exist; the batch is as it was.
    pub fn delete_topic(&mut self, batch: &mut Batch, topic: TopicId) -> Result<(), TopicError> {
        self.begin(batch);
        let head = *self.heads.get(&topic).ok_or(TopicError::Unknown(topic))?;
        if head.forks > 0 {
            return Err(TopicError::HasForks(head.forks));
        }
        self.check_small(batch)?;
        let known = self.shared.describe(topic).map_or(0, |info| info.newest);
        let newest = batch.collected.newest_below(topic, u64::MAX).unwrap_or(known);
        // By this the name is remembered with what it had: the events themselves may be gone from
        // the disk when the deletion is read back.
        self.encode(batch, &Control::Trimmed { id: topic, through: newest });
        if let Some(source) = head.source {
            self.change(source, |source| source.forks -= 1);
        }
        self.undo.push((topic, Some(head)));
        self.heads.remove(&topic);
        self.encode(batch, &Control::Deleted { id: topic });
        Ok(())
    }

    /// Stores a timer: [`Log::schedules`](crate::Log::schedules) lists it until
    /// [`Writer::unschedule`]. Returns its id.
    ///
    /// # Errors
    /// The timer is refused; the batch is as it was.
    pub fn schedule(
        &mut self,
        batch: &mut Batch,
        due_ms: u64,
        payload: &[u8],
    ) -> Result<u64, ScheduleError> {
        self.may_schedule(batch, payload)?;
        let (pending, known) = {
            let table = self.shared.read();
            (table.schedules.len(), table.next_schedule.max(1))
        };
        let added = usize::try_from(self.next_schedule - known).unwrap_or(usize::MAX);
        if pending.saturating_add(added) >= limits::SCHEDULES_MAX {
            return Err(ScheduleError::TooMany);
        }
        let id = self.next_schedule;
        self.next_schedule += 1;
        self.encode(batch, &Control::Scheduled { id, due_ms, payload });
        Ok(id)
    }

    /// Stores another payload and another time for the timer of this id, which is pending.
    ///
    /// # Errors
    /// It is refused; the batch is as it was.
    pub fn reschedule(
        &mut self,
        batch: &mut Batch,
        id: u64,
        due_ms: u64,
        payload: &[u8],
    ) -> Result<(), ScheduleError> {
        self.may_schedule(batch, payload)?;
        self.encode(batch, &Control::Scheduled { id, due_ms, payload });
        Ok(())
    }

    fn may_schedule(&mut self, batch: &mut Batch, payload: &[u8]) -> Result<(), ScheduleError> {
        self.begin(batch);
        if payload.len() > limits::SCHEDULE_BYTES_MAX {
            return Err(ScheduleError::TooLong(payload.len()));
        }
        if batch.room(payload.len()) { Ok(()) } else { Err(ScheduleError::BatchFull) }
    }

    /// Removes a timer; an unknown id is no error.
    ///
    /// # Errors
    /// The batch is full.
    pub fn unschedule(&mut self, batch: &mut Batch, id: u64) -> Result<(), ScheduleError> {
        self.begin(batch);
        if !batch.room(0) {
            return Err(ScheduleError::BatchFull);
        }
        self.encode(batch, &Control::Unscheduled { id });
        Ok(())
    }

    /// The next sequence at this point of the batch.
    fn next_in(&self, batch: &Batch) -> u64 {
        self.next_sequence + u64::from(batch.events)
    }

    fn check_small(&self, batch: &Batch) -> Result<(), TopicError> {
        if batch.room(0) { Ok(()) } else { Err(TopicError::BatchFull) }
    }

    fn change(&mut self, topic: TopicId, change: impl FnOnce(&mut Head)) {
        if let Some(head) = self.heads.get_mut(&topic) {
            self.undo.push((topic, Some(*head)));
            change(head);
        }
    }

    pub(crate) fn encode(&mut self, batch: &mut Batch, control: &Control<'_>) {
        let offset = batch.bytes.len();
        let crc = record::encode_control(&mut batch.bytes, control);
        batch.added(crc);
        batch.collected.control(offset as u32, (batch.bytes.len() - offset) as u32);
    }

    /// The first record of a life.
    pub(crate) fn encode_life(&mut self, batch: &mut Batch, control: &Control<'_>) {
        self.begin(batch);
        self.encode(batch, control);
    }
}

fn check_room(batch: &Batch, policy: &Policy, more: usize) -> Result<(), TopicError> {
    if policy.extra.len() > limits::POLICY_EXTRA_BYTES_MAX {
        return Err(TopicError::ExtraTooLong(policy.extra.len()));
    }
    if batch.room(policy.extra.len() + more) { Ok(()) } else { Err(TopicError::BatchFull) }
}
