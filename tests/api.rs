//! The public call interface: arrays of any layout, types, symbols, mistakes.

use pelton::{ArrayView, Engine, Program};

fn hdiff() -> Program {
    Program::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hdiff/program.sdfgz")).unwrap()
}

fn field() -> Vec<f64> {
    (0..12 * 10 * 3).map(|n| f64::from((n * 37) % 101)).collect()
}

/// The result for 8 x 6 columns of 3 levels, row-major.
fn row_major(program: &Program) -> Vec<f64> {
    let (mut field, mut coefficient, mut diffused) = (field(), vec![0.03125; 144], vec![0.0; 144]);
    let call = program.call().symbol("I", 8).symbol("J", 6).symbol("K", 3);
    let call = call.array("field", &mut field).array("coefficient", &mut coefficient);
    call.array("diffused", &mut diffused).run().unwrap();
    diffused
}

#[test]
fn any_layout_gives_the_same_numbers() {
    let program = hdiff();
    let expected = row_major(&program);
    assert!(expected.iter().any(|value| *value != 0.0));
    // Column-major field, result in every other element of a buffer: shapes tell the symbols.
    let values = field();
    let mut columns = vec![0.0; values.len()];
    for (position, value) in values.iter().enumerate() {
        let (i, j, k) = (position / 30, position / 3 % 10, position % 3);
        columns[i + 12 * (j + 10 * k)] = *value;
    }
    let mut coefficient = vec![0.03125; 144];
    let mut wide = vec![-1.0; 288];
    program
        .call()
        .array("field", ArrayView::column_major(&mut columns, &[12, 10, 3]))
        .array("coefficient", ArrayView::row_major(&mut coefficient, &[8, 6, 3]))
        .array("diffused", ArrayView::strided(&mut wide, &[8, 6, 3], &[36, 6, 2]))
        .run()
        .unwrap();
    let every_other: Vec<f64> = wide.iter().copied().step_by(2).collect();
    assert_eq!(every_other, expected);
    assert!(wide.iter().skip(1).step_by(2).all(|gap| *gap == -1.0), "gaps are not touched");
}

#[test]
fn mistakes_are_described() {
    let program = hdiff();
    let mut small = [0.0; 8];
    let mut floats = vec![0.0f32; 144];
    let error = program.call().array("nothing", &mut small).run().unwrap_err();
    assert_eq!(error.code, "P0425");
    assert!(error.notes.iter().any(|note| note.contains("diffused")));
    let error =
        program.call().symbol("I", 8).symbol("J", 6).symbol("K", 3).array("diffused", &mut floats).run();
    assert_eq!(error.unwrap_err().code, "P0420");
    let error =
        program.call().symbol("I", 8).symbol("J", 6).symbol("K", 3).array("diffused", &mut small).run();
    assert_eq!(error.unwrap_err().code, "P0423");
    let error = program.call().symbol("I", 0.5).run().unwrap_err();
    assert_eq!(error.code, "P0422");
    let mut data = vec![0.0; 10];
    let outside = ArrayView::strided(&mut data, &[8, 6, 3], &[18, 3, 1]);
    let error = program.call().array("diffused", outside).run().unwrap_err();
    assert!(error.code.starts_with("P04"), "{error}");
}

#[test]
fn programs_are_shared_between_threads() {
    let program = hdiff();
    let expected = row_major(&program);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(row_major(&program), expected));
        }
    });
}

#[test]
fn the_engine_that_ran_is_told() {
    let program = hdiff();
    let (mut field, mut coefficient, mut diffused) = (field(), vec![0.0; 144], vec![0.0; 144]);
    let call =
        program.call().engine(Engine::Interp).checked(true).symbol("I", 8).symbol("J", 6).symbol("K", 3);
    let call = call.array("field", &mut field).array("coefficient", &mut coefficient);
    let report = call.array("diffused", &mut diffused).run().unwrap();
    assert_eq!(report.engine, Engine::Interp);
    assert!(report.stats.steps > 144);
}
