//! Directed scenarios: a short script with the faults of one idea.

use tenet_sim::campaign::keeps_every_promise;
use tenet_sim::script::directed;

#[test]
fn no_directed_script_breaks_a_promise() {
    for (idea, script) in directed() {
        println!("{idea}");
        keeps_every_promise(&script);
    }
}
