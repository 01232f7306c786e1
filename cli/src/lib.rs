//! The tenet command.
