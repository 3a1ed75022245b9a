//! LISTEN, UNLISTEN, NOTIFY, and what the session's owner asks for notifications.

use std::task::Context;

use ochre_base::{Error, Result, SqlState};

use super::{Block, Session};
use crate::notify::{ListenAction, Notification};
use crate::tag::CommandTag;

impl Session {
    /// LISTEN: from the transaction's commit on.
    ///
    /// # Errors
    /// 22023 for a name that is too long.
    pub(crate) fn listen(&self, channel: &str) -> Result<CommandTag> {
        self.state.notices_of_session(|notices| notices.add_action(ListenAction::Listen(channel.into())));
        Ok(CommandTag::Plain("LISTEN"))
    }

    /// UNLISTEN, of all channels without a name.
    pub(crate) fn unlisten(&self, channel: Option<&str>) -> CommandTag {
        let action = channel.map_or(ListenAction::UnlistenAll, |name| ListenAction::Unlisten(name.into()));
        self.state.notices_of_session(|notices| notices.add_action(action));
        CommandTag::Plain("UNLISTEN")
    }

    /// NOTIFY.
    ///
    /// # Errors
    /// 22023 for a channel or a payload that cannot be.
    pub(crate) fn notify(&self, channel: &str, payload: Option<&str>) -> Result<CommandTag> {
        self.state.notices_of_session(|notices| notices.add_note(channel, payload.unwrap_or_default()))?;
        Ok(CommandTag::Plain("NOTIFY"))
    }

    /// Whether notifications may come.
    pub fn is_listening(&self) -> bool {
        self.state.listens.get()
    }

    /// Whether notifications can be taken now; if not, the task is woken when some come. A session in a transaction
    /// block does not hear of any.
    pub fn poll_notifications(&mut self, context: &Context<'_>) -> bool {
        self.is_listening()
            && self.block == Block::Idle
            && self.state.notices_of_session(|notices| notices.poll(context))
    }

    /// The notifications that have come, in the order of the commits; none inside a transaction block. They count for
    /// [`Session::take_gate`].
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        if !self.is_listening() || self.block != Block::Idle {
            return Vec::new();
        }
        let taken = self.state.notices_of_session(|notices| notices.receive());
        for notification in &taken {
            self.state.require_durable(notification.lsn);
        }
        taken
    }

    /// PREPARE TRANSACTION refuses what has asked for notifications.
    ///
    /// # Errors
    /// 0A000.
    pub(crate) fn require_no_notifications(&self) -> Result<()> {
        if self.state.notices_of_session(|notices| notices.is_empty()) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY",
        ))
    }
}
