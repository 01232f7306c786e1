//! The mappers that Tenet brings along.
