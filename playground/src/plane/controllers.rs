//! Selection of the controllers of a control plane.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tenet_install::objects::HOST_ONLY;

use super::{PlaneError, Role};

/// Returns the value of `--controllers`, with those of `also` although the role leaves them out.
pub(super) fn enabled(role: Role, program: &Path, also: &[String]) -> Result<String, PlaneError> {
    match role {
        Role::Host => Ok("*".to_owned()),
        Role::Virtual => {
            let unlisted = || PlaneError::Controllers { program: program.to_owned() };
            let output = Command::new(program).arg("--help").stdin(Stdio::null()).output();
            let help = output.map_err(|_| unlisted())?.stdout;
            let listed = without_host_only(&String::from_utf8_lossy(&help)).ok_or_else(unlisted)?;
            // The first entry for a name counts.
            Ok(also.iter().cloned().chain([listed]).collect::<Vec<_>>().join(","))
        }
    }
}

/// Builds the value from the help text. The controller manager exits on an unknown name, and the names differ by
/// version, so only names in its own list are switched off.
fn without_host_only(help: &str) -> Option<String> {
    let list = help.lines().find_map(|line| line.trim().strip_prefix("All controllers: "))?;
    let known: Vec<&str> = list.split(',').map(str::trim).collect();
    let off = HOST_ONLY.iter().filter(|(name, _)| known.contains(name)).map(|(name, _)| format!(",-{name}"));
    Some(std::iter::once("*".to_owned()).chain(off).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_controllers_that_the_binary_knows_are_switched_off() {
        let help = "
      --controllers strings     A list of controllers to enable. '*' enables all on-by-default controllers.
                                All controllers: deployment-controller, node-ipam-controller, taint-eviction-controller
                                Disabled-by-default controllers: token-cleaner-controller (default [*])";
        assert_eq!(without_host_only(help).as_deref(), Some("*,-node-ipam-controller,-taint-eviction-controller"));
        assert_eq!(without_host_only("no list"), None);
    }
}
