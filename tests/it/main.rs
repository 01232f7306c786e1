//! The whole line on real control planes.

mod fault;
