//! The proof of the proof: random clusters, and a naive reference that judges every connection.
//!
//! `AMBIENT_PROPERTY_CASES` says how many clusters, `AMBIENT_PROPERTY_SEED` runs the one with that
//! number.

mod check;
mod generate;
mod objects;
mod prove;
mod reference;

#[test]
fn what_is_written_is_what_was_generated() {
    for seed in 0..200 {
        let cluster = prove::cluster(seed);
        let mut read = Vec::new();
        for file in &generate::files(&cluster) {
            let objects = file.objects();
            read.extend(objects.unwrap_or_else(|e| panic!("{e}\n{}", file.text)));
        }
        let written = objects::world(&cluster.objects);
        let read = objects::world(&read);
        assert_eq!(format!("{written:#?}"), format!("{read:#?}"), "seed {seed}");
    }
}
