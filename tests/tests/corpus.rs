//! The kept inputs of the fuzz targets (`fuzz/corpus`), handed to the functions that the targets call.

#[test]
fn kept_inputs_break_nothing() {
    for (name, target) in sqlitrest_fuzz::TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(sqlitrest_fuzz::corpus(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            // An assertion that fails says which input it was.
            let result = std::panic::catch_unwind(|| target(&input));
            assert!(result.is_ok(), "{}", path.display());
            count += 1;
        }
        assert!(count > 20, "only {count} inputs for {name}");
    }
}
