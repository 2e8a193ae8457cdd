use pelton::scalar::DType;

use super::harness::*;

#[test]
fn cartesian_shifts() {
    expect_stencil("·⟪Kᵥ→Kᵥ, 1ₒ⟫(a) - ·a", &[1.0, 2.0, 4.0, 8.0], &[1.0, 2.0, 4.0]);
    expect_stencil("·⟪Kᵥ→Kᵥ, 3ₒ, Kᵥ→Kᵥ, -1ₒ⟫(a)", &[1.0, 2.0, 4.0, 8.0], &[4.0, 8.0]);
    // Applied twice.
    expect_stencil("·⟪Kᵥ→Kᵥ, 1ₒ⟫(⟪Kᵥ→Kᵥ, 1ₒ⟫(a))", &[1.0, 2.0, 4.0, 8.0], &[4.0, 8.0]);
}

#[test]
fn staggered_dimensions() {
    let program = "p(a, out) { out @ c⟨ Hᵥ: [1, 3[ ⟩ ← (⇑(λ(a) → ·⟪Hᵥ→Kᵥ, 0ₒ⟫(a) + ·⟪Hᵥ→Kᵥ, -1ₒ⟫(a)))(a); }";
    let setup =
        || Setup::new().column("a", &[1.0, 10.0, 100.0]).field("out", DType::F64, &[("Hᵥ", 1, 2)], &[0.0; 2]);
    expect(program, setup, &[("out", &[11.0, 110.0])]);
}

#[test]
fn origins() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [get_domain_range(out, Kᵥ)[0], get_domain_range(out, Kᵥ)[1] - 1[ ⟩ ← \
                   (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -3ₒ⟫(a)))(a); }";
    let setup = || {
        Setup::new().field("a", DType::F64, &[("Kᵥ", -2, 4)], &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &[("Kᵥ", 2, 3)],
            &[0.0, 0.0, 9.0],
        )
    };
    expect(program, setup, &[("out", &[2.0, 3.0, 9.0])]);
}

#[test]
fn dynamic_shifts() {
    let program = "p(a, by, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a, by) → ·⟪Kᵥ→Kᵥ, ·by⟫(a)))(a, by); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0, 3.0])
            .field("by", DType::I32, &[("Kᵥ", 0, 3)], &[2.0, 0.0, -1.0])
            .column("out", &[0.0; 3])
    };
    expect(program, setup, &[("out", &[3.0, 2.0, 2.0])]);
}

#[test]
fn a_dynamic_shift_of_a_computed_field() {
    let program = "p(a, by, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a, by) → ·⟪Kᵥ→Kᵥ, ·by⟫(a)))((⇑(λ(a) → ·a × 2.0))(a), by); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0, 3.0])
            .field("by", DType::I32, &[("Kᵥ", 0, 3)], &[2.0, 0.0, -1.0])
            .column("out", &[0.0; 3])
    };
    expect(program, setup, &[("out", &[6.0, 4.0, 4.0])]);
}

#[test]
fn a_guarded_read_may_be_out_of_bounds() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← \
                   (⇑(λ(a, k) → if ·k > 0 then ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) else 0.5))(a, index(Kᵥ)); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[0.5, 1.0, 2.0])]);
}

#[test]
fn unstructured_shifts() {
    let ring = || edges(&E).ring();
    expect(&on_vertices("λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e)"), ring, &[("out", &[100.0, 1.0, 10.0])]);
    // Composite: vertex to edge to vertex to edge.
    let composite = "λ(e) → ·⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ, V2Eₒ, 1ₒ⟫(e)";
    expect(&on_vertices(composite), ring, &[("out", &[10.0, 100.0, 1.0])]);
    let applied = "λ(e) → ·⟪V2Eₒ, 1ₒ⟫(⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ⟫(e))";
    expect(&on_vertices(applied), ring, &[("out", &[10.0, 100.0, 1.0])]);
}

#[test]
fn neighbor_lists() {
    let ring = || edges(&E).ring();
    for (stencil, expected) in [
        ("λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, e))", [101.0, 11.0, 110.0]),
        ("λ(e) → reduce(maximum, 0.0)(neighbors(V2Eₒ, e))", [100.0, 10.0, 100.0]),
        ("λ(e) → reduce(λ(s, x) → s × 2.0 + x, 0.0)(neighbors(V2Eₒ, e))", [201.0, 12.0, 120.0]),
        (
            "λ(e) → reduce(λ(s, x, y) → s + x × y, 0.0)(neighbors(V2Eₒ, e), make_const_list(2.0))",
            [202.0, 22.0, 220.0],
        ),
        (
            "λ(e) → reduce(plus, 0.0)(map_list(λ(x, y) → x - y)(neighbors(V2Eₒ, e), make_const_list(1.0)))",
            [99.0, 9.0, 108.0],
        ),
        ("λ(e) → list_get(1, neighbors(V2Eₒ, e))", [1.0, 10.0, 100.0]),
        (
            "λ(e) → list_get(0ₒ, map_list(multiplies)(neighbors(V2Eₒ, e), neighbors(V2Eₒ, e)))",
            [1e4, 1.0, 100.0],
        ),
    ] {
        println!("{stencil}");
        expect(&on_vertices(stencil), ring, &[("out", &expected)]);
    }
}

#[test]
fn lists_cross_field_operators() {
    let program = "p(e, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← \
                   (⇑(λ(l) → reduce(plus, 0.0)(·l)))((⇑(λ(e) → neighbors(V2Eₒ, e)))(e)); }";
    expect(program, || edges(&E).ring(), &[("out", &[101.0, 11.0, 110.0])]);
}

#[test]
fn skip_values() {
    let broken = || edges(&E).broken_ring();
    for (stencil, expected) in [
        ("λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, e))", [1.0, 11.0, 110.0]),
        ("λ(e) → if can_deref(⟪V2Eₒ, 0ₒ⟫(e)) then ·⟪V2Eₒ, 0ₒ⟫(e) else -1.0", [-1.0, 1.0, 10.0]),
        (
            "λ(e) → reduce(λ(s, x, y) → s + x × y, 0.0)(neighbors(V2Eₒ, e), map_list(λ(x) → x + 1.0)(neighbors(V2Eₒ, e)))",
            [2.0, 112.0, 10210.0],
        ),
    ] {
        println!("{stencil}");
        expect(&on_vertices(stencil), broken, &[("out", &expected)]);
    }
}

#[test]
fn lift() {
    let ring = || edges(&E).ring();
    let lifted = "λ(e) → ·⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ⟫(↑(λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e) + ·⟪V2Eₒ, 1ₒ⟫(e))(e))";
    let lifted = lifted.replace("↑(λ", "(↑(λ").replace("(e))(e))", "(e)))(e))");
    expect(&on_vertices(&lifted), ring, &[("out", &[11.0, 110.0, 101.0])]);
    let twice = "λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, (↑(λ(v) → ·⟪E2Vₒ, 0ₒ⟫(v)))((↑(λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e)))(e))))";
    // Edge k starts at vertex k, whose first edge is k - 1; vertex k sums that over edges k - 1 and k.
    expect(&on_vertices(twice), ring, &[("out", &[110.0, 101.0, 11.0])]);
}

#[test]
fn sparse_fields_in_and_out() {
    let dims = [("Vₕ", 0, 3), ("V2E", 0, 2)];
    let sparse = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let setup = || edges(&E).ring().field("s", DType::F64, &dims, &sparse);
    let program = "p(e, s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← \
                   (⇑(λ(e, s) → reduce(λ(a, x, y) → a + x × y, 0.0)(neighbors(V2Eₒ, e), ·s)))(e, s); }";
    expect(program, setup, &[("out", &[102.0, 43.0, 650.0])]);
    let only =
        "p(s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(s) → reduce(plus, 0.0)(·s) + list_get(1, ·s)))(s); }";
    expect(only, setup, &[("out", &[5.0, 11.0, 17.0])]);
    let output = "p(e, s) { s @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e) → neighbors(V2Eₒ, e)))(e); }";
    expect(output, setup, &[("s", &[100.0, 1.0, 1.0, 10.0, 10.0, 100.0])]);
}

#[test]
fn functions_and_iterators_may_be_chosen_at_each_point() {
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0, 3.0, 4.0])
            .field("c", DType::F64, &[("Kᵥ", 0, 4)], &[1.0, -1.0, 1.0, -1.0])
            .column("out", &[0.0; 4])
    };
    let down_or_up = "λ(a, c) → ·(if ·c < 0.0 then ⟪Kᵥ→Kᵥ, -1ₒ⟫ else ⟪Kᵥ→Kᵥ, 1ₒ⟫)(a)";
    let program = format!("p(a, c, out) {{ out @ c⟨ Kᵥ: [0, 4[ ⟩ ← (⇑({down_or_up}))(a, c); }}");
    expect(&program, setup, &[("out", &[2.0, 1.0, 4.0, 3.0])]);
    // The condition stays where it was evaluated when the chosen iterator moves on.
    let moved = "λ(a, c) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(if ·c < 0.0 then a else ⟪Kᵥ→Kᵥ, -1ₒ⟫(a))";
    let program = format!("p(a, c, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑({moved}))(a, c); }}");
    expect(&program, setup, &[("out", &[1.0, 3.0, 3.0, 0.0])]);
}

#[test]
fn tuple_iterators() {
    let setup =
        || Setup::new().columns("t", &[&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]]).column("out", &[0.0; 2]);
    for body in [
        "(·⟪Kᵥ→Kᵥ, 1ₒ⟫(t))[0] + (·t)[1]",
        "·⟪Kᵥ→Kᵥ, 1ₒ⟫(t[0]) + ·t[1]",
        "(λ(u) → ·u[0] + (·t)[1])(⟪Kᵥ→Kᵥ, 1ₒ⟫(t))",
        "(λ(u) → (·u)[0] + (·t)[1])(⟪Kᵥ→Kᵥ, 1ₒ⟫((↑(λ(t) → {(·t)[0], (·t)[1]}))(t)))",
    ] {
        println!("{body}");
        let program = format!("p(t, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(t) → {body}))(t); }}");
        expect(&program, setup, &[("out", &[12.0, 23.0])]);
    }
}

#[test]
fn strided_neighbors() {
    // Three corners per cell, numbered one cell after the other.
    let setup = || {
        Setup::new()
            .table("C2X", "C", "X", 3, false, &[0., 1., 2., 3., 4., 5.])
            .field("x", DType::F64, &[("Xₕ", 0, 6)], &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
            .field("out", DType::F64, &[("Cₕ", 0, 2)], &[0.0; 2])
    };
    let sum = "p(x, out) { out @ u⟨ Cₕ: [0, 2[ ⟩ ← (⇑(λ(x) → reduce(plus, 0.0)(neighbors(C2Xₒ, x))))(x); }";
    expect(sum, setup, &[("out", &[7.0, 56.0])]);
    let one = "p(x, out) { out @ u⟨ Cₕ: [0, 2[ ⟩ ← (⇑(λ(x) → ·⟪C2Xₒ, 2ₒ⟫(x)))(x); }";
    expect(one, setup, &[("out", &[4.0, 32.0])]);
}

#[test]
fn a_neighbor_chosen_at_each_point() {
    let setup = || edges(&E).ring().field("n", DType::I32, &[("Vₕ", 0, 3)], &[0.0, 1.0, 0.0]);
    let program = "p(e, n, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e, n) → ·⟪V2Eₒ, ·n⟫(e)))(e, n); }";
    expect(program, setup, &[("out", &[100.0, 10.0, 10.0])]);
    let list =
        "p(e, n, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e, n) → list_get(·n, neighbors(V2Eₒ, e))))(e, n); }";
    expect(list, setup, &[("out", &[100.0, 10.0, 10.0])]);
}

#[test]
fn horizontal_and_vertical_shifts_together() {
    let dims = [("Eₕ", 0, 3), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new().ring().field("e", DType::F64, &dims, &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0]).field(
            "out",
            DType::F64,
            &[("Vₕ", 0, 3), ("Kᵥ", 0, 2)],
            &[0.0; 6],
        )
    };
    let program = "p(e, out) { out @ u⟨ Vₕ: [0, 3[, Kᵥ: [0, 1[ ⟩ ← (⇑(λ(e) → ·⟪V2Eₒ, 0ₒ, Kᵥ→Kᵥ, 1ₒ⟫(e) + ·⟪Kᵥ→Kᵥ, 1ₒ⟫(⟪V2Eₒ, 1ₒ⟫(e))))(e); }";
    expect(program, setup, &[("out", &[202.0, 0.0, 22.0, 0.0, 220.0, 0.0])]);
}

#[test]
fn missing_neighbors_of_neighbors() {
    let broken = || edges(&E).broken_ring().table("E2V", "E", "V", 2, false, &[0., 1., 1., 2., 2., 0.]);
    let body = "λ(e) → if can_deref(⟪V2Eₒ, 0ₒ, E2Vₒ, 0ₒ, V2Eₒ, 0ₒ⟫(e)) then ·⟪V2Eₒ, 0ₒ, E2Vₒ, 0ₒ, V2Eₒ, 0ₒ⟫(e) else -1.0";
    // Vertex 0 has no first edge; vertex 1's is edge 0, whose first vertex is 0, which has none either.
    expect(&on_vertices(body), broken, &[("out", &[-1.0, -1.0, 1.0])]);
    let lifted = "λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, (↑(λ(e) → ·e × 2.0))(e)))";
    expect(&on_vertices(lifted), broken, &[("out", &[2.0, 22.0, 220.0])]);
    let minimum =
        "λ(e) → reduce(minimum, 1000.0)(map_list(multiplies)(neighbors(V2Eₒ, e), make_const_list(3.0)))";
    expect(&on_vertices(minimum), broken, &[("out", &[3.0, 3.0, 30.0])]);
}

#[test]
fn sparse_fields_with_missing_neighbors() {
    let dims = [("Vₕ", 0, 3), ("V2E", 0, 2)];
    let setup = || edges(&E).broken_ring().field("s", DType::F64, &dims, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let sum = "p(e, s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(s) → reduce(plus, 0.0)(·s)))(s); }";
    expect(sum, setup, &[("out", &[2.0, 7.0, 11.0])]);
    let both = "p(e, s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e, s) → reduce(λ(a, x, y) → a + x × y, 0.0)(·s, neighbors(V2Eₒ, e))))(e, s); }";
    expect(both, setup, &[("out", &[2.0, 43.0, 650.0])]);
    // Nothing is written where there is no neighbour.
    let output = "p(e, s, out) { s @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e) → neighbors(V2Eₒ, e)))(e); }";
    expect(output, setup, &[("s", &[1.0, 1.0, 1.0, 10.0, 10.0, 100.0])]);
}

#[test]
fn sparse_output_of_computed_lists() {
    let dims = [("Vₕ", 0, 3), ("V2E", 0, 2)];
    let setup = || edges(&E).ring().field("s", DType::F64, &dims, &[0.0; 6]);
    let program =
        "p(e, s) { s @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e) → map_list(λ(x) → x + 0.5)(neighbors(V2Eₒ, e))))(e); }";
    expect(program, setup, &[("s", &[100.5, 1.5, 1.5, 10.5, 10.5, 100.5])]);
    let constant = "p(e, s) { s @ u⟨ Vₕ: [1, 3[ ⟩ ← (⇑(λ(e) → make_const_list(2.5)))(e); }";
    expect(constant, setup, &[("s", &[0.0, 0.0, 2.5, 2.5, 2.5, 2.5])]);
}
