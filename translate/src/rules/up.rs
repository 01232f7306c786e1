//! The way up: fields that the host owns, and that the virtual object shows.

use serde_json::{Map, Value};

use super::Table;
use crate::pointer;

impl Table {
    /// Returns the pointers of the fields that come up from the host, sorted. Those that the mapper computes are not
    /// among them.
    ///
    /// ```
    /// use tenet_translate::rules::{Table, TableError, up};
    ///
    /// let table = Table::new(&[("", &[up("status"), up("spec.taints"), up("spec.ports[].nodePort").computed()])])?;
    /// assert_eq!(table.shown(), ["/spec/taints", "/status"]);
    /// # Ok::<(), TableError>(())
    /// ```
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// Returns the part of a host object that comes up: the beginning of a picture of it.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_translate::rules::{Table, TableError, up};
    ///
    /// let table = Table::new(&[("", &[up("spec.taints"), up("status.capacity")])])?;
    /// let host = json!({"spec": {"taints": [], "podCIDR": "10.0.0.0/24"}, "status": {"phase": "on"}});
    /// assert_eq!(table.up(&host), json!({"spec": {"taints": []}}));
    /// # Ok::<(), TableError>(())
    /// ```
    pub fn up(&self, host: &Value) -> Value {
        let mut shown = Value::Object(Map::new());
        for path in &self.shown {
            if let Some(value) = pointer::get(host, path).filter(|value| !value.is_null()) {
                pointer::set(&mut shown, path, value.clone());
            }
        }
        shown
    }
}
