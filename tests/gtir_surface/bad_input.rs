use pelton::exec::gtir::GtirProgram;
use pelton::front::gtir::text;
use pelton::scalar::DType;

use super::harness::*;

#[test]
fn bad_programs_and_arguments_are_explained() {
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    for (value, code, part) in [
        ("b", "P0610", "`b` is not defined"),
        ("(⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a)", "P0613", "does not exist"),
        ("(⇑(λ(a) → ·⟪Xₕ→Xₕ, 1ₒ⟫(a)))(a)", "P0610", "moved along X"),
        ("(⇑(λ(a) → ·⟪V2Eₒ, 1ₒ⟫(a)))(a)", "P0610", "no connectivity `V2E`"),
        ("(⇑(λ(a, b) → ·a))(a)", "P0610", "2 parameters"),
        ("(⇑(λ(a) → {·a, ·a}))(a)", "P0610", "a tuple is written"),
        ("(⇑(λ(a) → ·a < 1.0))(a)", "P0610", "type bool"),
        ("1.0(a)", "P0610", "a number is called"),
        ("a[0]", "P0610", "part 0"),
    ] {
        let error = oracle_error(&format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}"), setup());
        assert_eq!(error.code, code, "{value}: {error}");
        assert!(error.to_string().contains(part), "{value}: {error}");
    }
    let error = oracle_error("p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← 0.0; }", setup());
    assert_eq!((error.code, error.notes.len()), ("P0612", 2));
    let error = oracle_error("p(a, b) { a @ c⟨ Kᵥ: [0, 1[ ⟩ ← 0.0; }", setup());
    assert_eq!(error.code, "P0611");
}

/// Every engine refuses with this code, mentions these parts, and has written nothing.
fn refuse(source: &str, setup: impl Fn() -> Setup, code: &str, parts: &[&str]) {
    for (engine, run) in ENGINES {
        let error = match run(source, setup()) {
            Ok(_) => panic!("{source}: {engine} accepts it"),
            Err(error) => error,
        };
        let text = format!("{error} {:?} {:?}", error.notes, error.help);
        if engine != "oracle" {
            assert_eq!(error.code, code, "{source} on {engine}: {text}");
            for part in parts {
                assert!(text.contains(part), "{source} on {engine}: {part} in {text}");
            }
        }
    }
    let mut args = setup().args;
    args.column_axis = Some("K".to_owned());
    let before = args.memory.buffers.values().map(|buffer| buffer.bytes().to_vec()).collect::<Vec<_>>();
    let bound = GtirProgram::new(&text::read(source).unwrap(), &args)
        .and_then(|program| program.bind(&mut args).map(|bound| program.unbind(bound, &mut args)));
    assert!(bound.is_err(), "{source}: the error comes after the call began");
    let after = args.memory.buffers.values().map(|buffer| buffer.bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(before, after);
}

fn columns() -> Setup {
    Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[9.0; 3])
}

#[test]
fn domains_that_exceed_a_field() {
    for (domain, needed) in
        [("0, 4", "0 to 4"), ("-1, 2", "-1 to 2"), ("0, get_domain_range(out, Kᵥ)[1] + 1", "0 to 4")]
    {
        let source = format!("p(a, out) {{ out @ c⟨ Kᵥ: [{domain}[ ⟩ ← 0.5; }}");
        refuse(&source, columns, "P0612", &["`out`", "`K`", needed, "found: 0 to 3"]);
    }
    // What is written after a statement that fits is not written either.
    let source = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← 0.5; out @ c⟨ Kᵥ: [0, 5[ ⟩ ← 0.5; }";
    refuse(source, columns, "P0612", &["needed: 0 to 5"]);
}

#[test]
fn reads_outside_a_field() {
    for (value, needed) in [
        ("(⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a)", "1 to 4"),
        ("(⇑(λ(t) → ·⟪Kᵥ→Kᵥ, -2ₒ⟫(t)))((⇑(λ(a) → ·a + 1.0))(a))", "-2 to 1"),
        ("(⇑scan(λ(s, a) → s + ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a), True, 0.0))(a)", "1 to 4"),
        ("concat_where(Kᵥ < 2, (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))(a), 0.0)", "-1 to 1"),
    ] {
        let source = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        refuse(&source, columns, "P0613", &["`a`", "`K`", &format!("needed: {needed}"), "found: 0 to 3"]);
    }
}

#[test]
fn reads_that_do_not_happen_are_not_refused() {
    for value in [
        "concat_where(Kᵥ > 0, (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))(a), 0.0)",
        "(⇑(λ(a, k) → if ·k > 0 then ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) else 0.0))(a, index(Kᵥ))",
        "(⇑(λ(a) → if ·a > 1.5 then ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) else 0.0))(a)",
    ] {
        let source = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        expect(&source, columns, &[("out", &[0.0, 1.0, 2.0])]);
    }
    let empty = "p(a, out) { out @ c⟨ Kᵥ: [7, 7[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a); }";
    expect(empty, columns, &[("out", &[9.0; 3])]);
    let untaken =
        "p(a, out) { if (1 > 2) { out @ c⟨ Kᵥ: [0, 7[ ⟩ ← 0.5; } else { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← a; } }";
    expect(untaken, columns, &[("out", &[1.0, 2.0, 3.0])]);
}

#[test]
fn tables_that_do_not_fit() {
    let program = on_vertices("λ(e) → ·⟪V2Eₒ, 1ₒ⟫(e)");
    let with = |rows: &[f64], skips| edges(&E).table("V2E", "V", "E", 2, skips, rows);
    let too_large = || with(&[2., 0., 0., 3., 1., 2.], false);
    refuse(&program, too_large, "P0613", &["`e`", "`E`", "found: 0 to 3"]);
    let undeclared = || with(&[2., 0., 0., -1., 1., 2.], false);
    refuse(&program, undeclared, "P0674", &["`V2E`", "-1", "declares no skip value"]);
    let wrong_skip = || with(&[2., 0., 0., -2., 1., 2.], true);
    refuse(&program, wrong_skip, "P0674", &["`V2E`", "-2", "or -1 for a missing neighbour"]);
    let too_short = || with(&[2., 0., 0., 1.], false);
    refuse(&program, too_short, "P0613", &["connectivity `V2E`", "`V`", "needed: 0 to 3", "found: 0 to 2"]);
    let sum = on_vertices("λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, e))");
    let skipping = || with(&[-1., 0., 0., 7., 1., 2.], true);
    refuse(&sum, skipping, "P0613", &["`e`", "needed: 0 to 8"]);
    let narrow = || {
        let mut setup = with(&[2., 0., 0., 1., 1., 2.], false);
        setup.args.connectivities["V2E"].max_neighbors = 3;
        setup
    };
    refuse(&program, narrow, "P0673", &["`V2E`", "3", "2"]);
    let missing = || {
        let mut setup = with(&[2., 0., 0., 1., 1., 2.], false);
        setup.args.memory.bindings.shift_remove("offset:V2E");
        setup
    };
    refuse(&program, missing, "P0673", &["`V2E`"]);
    refuse(&program, || edges(&E), "P0659", &["`V2E`"]);
}

#[test]
fn no_neighbor_at_all_is_no_mistake() {
    let sum = on_vertices("λ(e) → reduce(plus, 0.5)(neighbors(V2Eₒ, e))");
    let none = || edges(&E).table("V2E", "V", "E", 2, true, &[-1.; 6]);
    expect(&sum, none, &[("out", &[0.5; 3])]);
}

#[test]
fn arguments_that_do_not_fit() {
    let source = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← a; }";
    let typed = |edit: fn(&mut Setup)| {
        let mut setup = columns();
        edit(&mut setup);
        setup
    };
    // The program is compiled for columns of `float64`, then called with something else.
    let mut call = columns().args;
    let lowered = GtirProgram::new(&text::read(source).unwrap(), &call).unwrap();
    let bound = lowered.bind(&mut call).unwrap();
    lowered.unbind(bound, &mut call);
    /// What goes wrong, the code of the diagnostic, and words in it.
    type Mistake = (fn(&mut Setup), &'static str, &'static [&'static str]);
    let cases: [Mistake; 5] = [
        (
            |setup| {
                *setup =
                    Setup::new().field("a", DType::F32, &[("Kᵥ", 0, 3)], &[0.0; 3]).column("out", &[0.0; 3]);
            },
            "P0671",
            &["`a`", "float64", "float32"],
        ),
        (
            |setup| {
                *setup =
                    Setup::new().field("a", DType::F64, &[("Iₕ", 0, 3)], &[0.0; 3]).column("out", &[0.0; 3]);
            },
            "P0671",
            &["`a`", "[K]", "[I]"],
        ),
        (
            |setup| {
                let dims = [("Kᵥ", 0, 3), ("Iₕ", 0, 1)];
                *setup = Setup::new().field("a", DType::F64, &dims, &[0.0; 3]).column("out", &[0.0; 3]);
            },
            "P0671",
            &["`a`", "[K, I]"],
        ),
        (
            |setup| {
                setup.args.memory.bindings.shift_remove("a");
            },
            "P0670",
            &["`a`"],
        ),
        (
            |setup| {
                setup.args.params.shift_remove("out");
            },
            "P0670",
            &["out"],
        ),
    ];
    for (edit, code, parts) in cases {
        let mut call = typed(edit).args;
        let error = lowered.bind(&mut call).unwrap_err();
        let text = format!("{error} {:?}", error.notes);
        assert_eq!(error.code, code, "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[test]
fn programs_that_make_no_sense_to_the_lowering() {
    for (value, code, part) in [
        ("b", "P0654", "`b`"),
        ("(⇑(λ(a) → ·⟪V2Eₒ, 1ₒ⟫(a)))(a)", "P0659", "`V2E`"),
        ("(⇑(λ(a, b) → ·a))(a)", "P0660", "2 parameters"),
        ("(⇑(λ(a) → {·a, ·a}))(a)", "P0660", "shape of its target"),
        ("1.0(a)", "P0660", "not a function"),
        ("a[0]", "P0660", ""),
        ("plus(a, a)", "P0660", "without `as_fieldop`"),
        ("(⇑(λ(a) → reduce(plus, 0.0)(·a)))(a)", "P0660", "list"),
        ("(⇑(λ(a) → sin(·a, ·a)))(a)", "P0653", "sin"),
        ("(⇑scan(λ(s, a) → {s, ·a}, True, 0.0))(a)", "P0660", "components"),
    ] {
        let source = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        refuse(&source, columns, code, &[part]);
    }
    refuse("p(a, out) { out @ c⟨ Iₕ: [0, 3[ ⟩ ← 0.0; }", columns, "P0660", &["`out`", "`K`"]);
    refuse("p(a, out) { out @ c⟨ Iₕ: [0, 1[, Kᵥ: [0, 3[ ⟩ ← 0.0; }", columns, "P0660", &["`out`", "`I`"]);
}

#[test]
fn truncated_and_damaged_files() {
    let program = text::read("p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a) → ·a + 1.0))(a); }").unwrap();
    let document = pelton::front::gtir::json_write::write(&program, false);
    for length in 0..document.len() - 2 {
        let error = pelton::front::gtir::read(&document[..length]).unwrap_err();
        assert!(error.code.starts_with("P060"), "{length}: {error}");
    }
    let compressed = pelton::front::gtir::json_write::write(&program, true);
    for length in 2..compressed.len() - 1 {
        assert!(pelton::front::gtir::read(&compressed[..length]).is_err(), "{length}");
    }
    // Damage of one byte gives a diagnostic or another program, never a panic.
    for position in 0..document.len() {
        let mut damaged = document.clone();
        damaged[position] = damaged[position].wrapping_add(1);
        if let Ok(program) = pelton::front::gtir::read(&damaged) {
            let mut setup = columns();
            setup.args.column_axis = Some("K".to_owned());
            drop(GtirProgram::new(&program, &setup.args));
        }
    }
}

#[test]
fn nesting_that_lowering_cannot_follow_is_refused() {
    let depth = 300_000;
    let value = format!("(⇑(λ(a) → {}·a{}))(a)", "neg(".repeat(depth), ")".repeat(depth));
    let program = text::read(&format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← {value}; }}")).unwrap();
    let error = GtirProgram::new(&program, &columns().args).unwrap_err();
    assert_eq!(error.code, "P0650");
}
