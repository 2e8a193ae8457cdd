use pelton::scalar::{DType, Scalar};

use super::harness::*;

#[test]
fn scans() {
    let a = [1.0, 2.0, 3.0];
    for (value, expected) in [
        ("(⇑scan(λ(s, a) → s + ·a, True, 0.5))(a)", [1.5, 3.5, 6.5]),
        ("(⇑scan(λ(s, a) → s × 2.0 + ·a, False, 0.0))(a)", [17.0, 8.0, 3.0]),
        ("(⇑scan(λ(s, a) → {s[1], s[0] + ·a}, True, {0.0, 1.0}))(a)[1]", [1.0, 3.0, 4.0]),
        ("(⇑scan(λ(s) → s + 1.0, True, 0.0))()", [1.0, 2.0, 3.0]),
        // A scan of a scan.
        ("(⇑scan(λ(s, b) → s + ·b, True, 0.0))((⇑scan(λ(s, a) → s + ·a, True, 0.0))(a))", [1.0, 4.0, 10.0]),
        // Reading it shifted makes the column longer on that side.
        ("(⇑(λ(s) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(s)))((⇑scan(λ(s, k) → s + 1.0, True, 0.0))(index(Kᵥ)))", [1.0, 2.0, 3.0]),
        // Inside a mask it starts where the mask does.
        ("concat_where(Kᵥ < 1, 0.0, (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a))", [0.0, 2.0, 5.0]),
        ("as_fieldop(scan(λ(s, a) → s + ·a, True, 0.0), c⟨ Kᵥ: [0, 3[ ⟩)(a)", [1.0, 3.0, 6.0]),
        ("(⇑(λ(a) → scan(λ(s, x, y) → s + ·x × ·y, True, 0.0)(a, a)))(a)", [1.0, 5.0, 14.0]),
        ("(⇑(λ(a) → scan(λ(s, x) → s × 2.0 + ·x, False, 0.0)(a)))(a)", [17.0, 8.0, 3.0]),
    ] {
        println!("{value}");
        let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        let setup = || Setup::new().column("a", &a).column("out", &[0.0; 3]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn masks_that_leave_no_column() {
    // The scan's array ends where the mask does, so it may have no element; the reader runs all the same.
    let program = "p(a, n, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← \
                   concat_where(Kᵥ < n, (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a), a); }";
    for (n, expected) in
        [(-1, [1.0, 2.0, 4.0]), (0, [1.0, 2.0, 4.0]), (2, [1.0, 3.0, 4.0]), (5, [1.0, 3.0, 7.0])]
    {
        let setup = || {
            Setup::new().column("a", &[1.0, 2.0, 4.0]).scalar("n", Scalar::I32(n)).column("out", &[0.0; 3])
        };
        expect(program, setup, &[("out", &expected)]);
    }
}

#[test]
fn a_scan_begins_where_any_reader_looks_even_if_nothing_comes_of_it() {
    // GT4Py infers domains from what stencils read, not from what their results depend on.
    let scan = "(⇑scan(λ(s, a) → s + ·a, False, 0.0))(a)";
    let source = format!(
        "p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← \
         (⇑(λ(s) → if ·⟪Kᵥ→Kᵥ, 1ₒ⟫(s) < 0.0 then ·s else ·s))({scan}); }}"
    );
    let setup = || Setup::new().column("a", &[1.0, 2.0, 4.0]).column("out", &[0.0; 2]);
    expect(&source, setup, &[("out", &[7.0, 6.0])]);
    // The same through a field in between.
    let source = format!(
        "p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (λ(t) → (⇑(λ(s, d) → if ·d < 0.0 then ·s else ·s))(\
         t, (⇑(λ(s) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(s) × 2.0))(t)))({scan}); }}"
    );
    expect(&source, setup, &[("out", &[7.0, 6.0])]);
}

#[test]
fn a_scan_begins_where_any_part_of_a_tuple_looks() {
    // A stencil computes all parts, whichever of them is used.
    let scan = "(⇑scan(λ(s, a) → s + ·a, False, 0.0))(a)";
    let pair = format!("((⇑(λ(s) → {{·s × 1.0, ·⟪Kᵥ→Kᵥ, 1ₒ⟫(s) × 1.0}}))({scan}))");
    for (value, expected) in [
        (format!("{pair}[0]"), [7.0, 6.0]),
        // At several places, so that the pair is an array or is computed again.
        (format!("(⇑(λ(t) → ·t + ·⟪Kᵥ→Kᵥ, -1ₒ⟫(t) × 0.0 + exp(·t) × 0.0))({pair}[0])"), [7.0, 6.0]),
        (format!("(⇑(λ(t) → ·t × 2.0))({pair}[1])"), [12.0, 8.0]),
    ] {
        println!("{value}");
        let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}");
        let column = [("Kᵥ", -1, 4)];
        let setup =
            || Setup::new().field("a", DType::F64, &column, &[0.5, 1.0, 2.0, 4.0]).column("out", &[0.0; 2]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn a_scan_begins_where_a_mask_has_points() {
    let above = [-1.0, 2.0, 6.0, 14.0];
    for (mask, expected) in [
        // The side below -1 has no points, so that the scan begins above 0.
        ("Kᵥ < -1 ∨ Kᵥ > 0", above),
        ("¬(Kᵥ >= -1 ∧ Kᵥ <= 0)", above),
        ("¬(Kᵥ == 0)", above),
        ("¬(0 == Kᵥ)", above),
        ("Kᵥ < 1 ∨ Kᵥ > 1", [1.0, -1.0, 7.0, 15.0]),
        ("Kᵥ < 0 ∨ Kᵥ > 1", [-1.0, -1.0, 4.0, 12.0]),
        ("Kᵥ < 0 ∨ Kᵥ > 7", [-1.0; 4]),
    ] {
        println!("{mask}");
        let program = format!(
            "p(a, out) {{ out @ c⟨ Kᵥ: [0, 4[ ⟩ ← \
             concat_where({mask}, (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a), -1.0); }}"
        );
        let setup = || Setup::new().column("a", &[1.0, 2.0, 4.0, 8.0]).column("out", &[0.0; 4]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn scans_run_in_every_column() {
    let program =
        "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new().field("a", DType::F64, &dims, &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &dims,
            &[0.0; 4],
        )
    };
    expect(program, setup, &[("out", &[1.0, 3.0, 3.0, 7.0])]);
}

#[test]
fn scans_within_scans() {
    // The inner scan sums the column up to each level; the outer one sums those sums.
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← \
                   (⇑scan(λ(s, a) → s + scan(λ(t, x) → t + ·x, True, 0.0)(a), True, 0.0))(a); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[1.0, 4.0, 10.0])]);
}

#[test]
fn scans_that_use_the_state_around_them() {
    let a = [1.0, 2.0, 3.0];
    for (value, expected) in [
        // The outer state, its level (an iterator's value there), both; upwards, downwards.
        ("(⇑scan(λ(s, a) → scan(λ(t, x) → t + ·x, True, s)(a), True, 1.0))(a)", [2.0, 5.0, 11.0]),
        ("(⇑scan(λ(s, a) → scan(λ(t, x) → t + s, True, 1.0)(a), True, 1.0))(a)", [2.0, 5.0, 16.0]),
        ("(⇑scan(λ(s, a) → s + scan(λ(t, x) → t + ·x × ·a, True, 0.0)(a), True, 0.0))(a)", [1.0, 7.0, 25.0]),
        ("(⇑scan(λ(s, a) → scan(λ(t, x) → t + s × ·x, False, 0.0)(a), True, 1.0))(a)", [6.0, 30.0, 90.0]),
        ("(⇑scan(λ(s, a) → scan(λ(t, x) → t + ·x, True, s)(a), False, 0.0))(a)", [10.0, 9.0, 6.0]),
        // Several components, of which one is not read.
        (
            "(⇑scan(λ(s, a) → (λ(r) → r[0] - r[1])(scan(λ(t, x) → {t[0] + ·x, t[1] × 2.0, s}, True, {s, 1.0, 0.0})(a)), True, 0.0))(a)",
            [-1.0, -2.0, -4.0],
        ),
        // In a stencil: a value of the point itself.
        ("(⇑(λ(a) → scan(λ(t, x) → t + ·x × ·a, True, 0.0)(a)))(a)", [1.0, 6.0, 18.0]),
        ("(⇑(λ(a) → scan(λ(t, x) → t + ·x, False, ·a)(a)))(a)", [7.0, 7.0, 6.0]),
        // Read elsewhere, the column grows.
        (
            "(⇑(λ(b) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(b)))((⇑(λ(k) → scan(λ(t, x) → t + 1.0, True, cast_(·k, float64))(k)))(index(Kᵥ)))",
            [0.0, 2.0, 4.0],
        ),
        // Shifted and lifted iterators move along.
        (
            "(⇑scan(λ(s, k) → s + scan(λ(t, x) → t + ·x + s, True, 0.0)(⟪Kᵥ→Kᵥ, 1ₒ⟫((↑(λ(k) → cast_(·k, float64)))(k))), True, 1.0))(index(Kᵥ))",
            [3.0, 12.0, 54.0],
        ),
        // Three of them.
        (
            "(⇑scan(λ(s, a) → scan(λ(t, x) → t + scan(λ(u, y) → u + ·y × t, True, s)(x), True, 0.0)(a), True, 1.0))(a)",
            [1.0, 5.0, 180.0],
        ),
        // Only on one side of a condition.
        (
            "(⇑scan(λ(s, a) → if ·a > 1.5 then scan(λ(t, x) → t + ·x, True, s)(a) else 7.0, True, 1.0))(a)",
            [7.0, 10.0, 16.0],
        ),
    ] {
        println!("{value}");
        let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        let setup = || Setup::new().column("a", &a).column("out", &[0.0; 3]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn scans_nest_up_to_a_limit() {
    let nested = |count: usize| {
        let mut value = "s".to_owned();
        for _ in 0..count {
            value = format!("scan(λ(s, a) → {value} + s, True, s)(a)");
        }
        format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← (⇑scan(λ(s, a) → {value}, True, 1.0))(a); }}")
    };
    let setup = || Setup::new().column("a", &[1.0]).column("out", &[0.0]);
    expect(&nested(3), setup, &[("out", &[4.0])]);
    let error = run_interp(&nested(40), setup()).map(|_| ()).unwrap_err();
    assert_eq!(error.code, "P0650");
}

#[test]
fn scans_in_place() {
    let program = "p(a) { a @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a); }";
    expect(program, || Setup::new().column("a", &[1.0, 2.0, 3.0]), &[("a", &[1.0, 3.0, 6.0])]);
    let shifted = "p(a) { a @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑scan(λ(s, a) → s + ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a), False, 0.0))(a); }";
    expect(shifted, || Setup::new().column("a", &[1.0, 2.0, 3.0, 4.0]), &[("a", &[9.0, 7.0, 4.0, 4.0])]);
    let behind = "p(a) { a @ c⟨ Kᵥ: [1, 4[ ⟩ ← (⇑scan(λ(s, a) → s + ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a), True, 0.0))(a); }";
    expect(behind, || Setup::new().column("a", &[1.0, 2.0, 3.0, 4.0]), &[("a", &[1.0, 1.0, 3.0, 6.0])]);
}

#[test]
fn scans_of_short_and_empty_columns() {
    for (stop, expected) in [(0, [9.0, 9.0]), (1, [1.0, 9.0]), (2, [1.0, 3.0]), (-3, [9.0, 9.0])] {
        for forward in ["True", "False"] {
            let program = format!(
                "p(a, n, out) {{ out @ c⟨ Kᵥ: [0, n[ ⟩ ← (⇑scan(λ(s, a) → s + ·a, {forward}, 0.0))(a); }}"
            );
            let setup = || {
                let fields = Setup::new().column("a", &[1.0, 2.0]).column("out", &[9.0; 2]);
                fields.scalar("n", Scalar::I32(stop))
            };
            let down = [if stop == 2 { [3.0, 2.0] } else { expected }];
            let expected = if forward == "True" { &expected } else { &down[0] };
            expect(&program, setup, &[("out", expected)]);
        }
    }
}

#[test]
fn scans_see_levels_neighbors_and_tuples() {
    let dims = [("Vₕ", 0, 3), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new()
            .ring()
            .field("e", DType::F64, &[("Eₕ", 0, 3), ("Kᵥ", 0, 2)], &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0])
            .field("out", DType::F64, &dims, &[0.0; 6])
            .field("two", DType::F64, &dims, &[0.0; 6])
    };
    let program = "p(e, out, two) { \
                   {out, two} @ {u⟨ Vₕ: [0, 3[, Kᵥ: [0, 2[ ⟩, u⟨ Vₕ: [0, 3[, Kᵥ: [0, 2[ ⟩} ← \
                   (⇑scan(λ(s, e, k) → {s[0] + reduce(plus, 0.0)(neighbors(V2Eₒ, e)), if ·k == 0 then 5.0 else s[0]}, True, {0.0, 0.0}))(e, index(Kᵥ)); }";
    expect(
        program,
        setup,
        &[("out", &[101.0, 303.0, 11.0, 33.0, 110.0, 330.0]), ("two", &[5.0, 101.0, 5.0, 11.0, 5.0, 110.0])],
    );
}

#[test]
fn scan_states_of_several_types() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 4[ ⟩ ← \
                   (⇑scan(λ(s, a) → {s[0] + ·a, s[1] + 1, ¬s[2]}, True, {0.0, 0, False}))(a)[1]; }";
    let setup = || Setup::new().column("a", &[1.0; 4]).field("out", DType::I32, &[("Kᵥ", 0, 4)], &[0.0; 4]);
    expect(program, setup, &[("out", &[1.0, 2.0, 3.0, 4.0])]);
}

#[test]
fn a_scan_read_on_both_sides() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [1, 3[ ⟩ ← \
                   (⇑(λ(s) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(s) - ·⟪Kᵥ→Kᵥ, -1ₒ⟫(s)))((⇑scan(λ(s, a) → s + ·a, True, 0.0))(a)); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 4.0, 8.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[0.0, 6.0, 12.0])]);
}
