use indexmap::IndexMap;
use pelton::check::gtir_oracle;
use pelton::front::gtir::text;
use pelton::memory::Binding;
use pelton::scalar::Scalar;

use super::harness::*;

#[test]
fn statements() {
    let program = "p(a, b, flag) { \
                   if (flag) { b @ c⟨ Kᵥ: [0, 2[ ⟩ ← a; } else { b @ c⟨ Kᵥ: [0, 1[ ⟩ ← a; } \
                   a @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a, b) → ·a + ·b))(a, b); }";
    for (flag, b, a) in [(true, [1.0, 2.0], [2.0, 4.0]), (false, [1.0, 9.0], [2.0, 11.0])] {
        let setup = || {
            Setup::new().column("a", &[1.0, 2.0]).column("b", &[9.0, 9.0]).scalar("flag", Scalar::Bool(flag))
        };
        expect(program, setup, &[("a", &a), ("b", &b)]);
    }
}

#[test]
fn a_statement_reads_the_state_before_it() {
    let program = "p(a, b) { a @ c⟨ Kᵥ: [1, 3[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))(a); \
                   {a, b} @ {c⟨ Kᵥ: [0, 3[ ⟩, c⟨ Kᵥ: [0, 3[ ⟩} ← {b, a}; }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("b", &[7.0, 8.0, 9.0]);
    expect(program, setup, &[("a", &[7.0, 8.0, 9.0]), ("b", &[1.0, 1.0, 2.0])]);
}

#[test]
fn nothing_is_written_by_a_statement_that_fails() {
    let source = "p(a, out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a); }";
    let mut setup = Setup::new().column("a", &[1.0, 2.0]).column("out", &[9.0; 2]);
    assert!(gtir_oracle::run(&text::read(source).unwrap(), &mut setup.args).is_err());
    assert_eq!(values(&setup.args, "out"), [9.0; 2]);
}

#[test]
fn aliases_share_memory() {
    let source = "p(a, b) { a @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(b) → ·b + 1.0))(b); }";
    let mut setup = Setup::new().column("a", &[1.0, 2.0]).column("b", &[0.0; 2]);
    let shared: IndexMap<String, Binding> =
        [("b".to_owned(), setup.args.memory.bindings["a"].clone())].into();
    setup.args.memory.bindings.extend(shared);
    gtir_oracle::run(&text::read(source).unwrap(), &mut setup.args).unwrap();
    assert_eq!(values(&setup.args, "b"), [2.0, 3.0]);
}

#[test]
fn conditions_on_any_scalar() {
    let program = "p(a, s, n, out) { \
                   if (s > 0.5 ∧ n < 3) { if (s × 2.0 > 4.0) { out @ c⟨ Kᵥ: [0, 1[ ⟩ ← 1.0; } else { out @ c⟨ Kᵥ: [0, 1[ ⟩ ← 2.0; } } \
                   else { out @ c⟨ Kᵥ: [0, 1[ ⟩ ← 3.0; } }";
    for (s, n, expected) in [(1.0, 1, 2.0), (3.0, 1, 1.0), (0.1, 1, 3.0), (3.0, 4, 3.0)] {
        let setup = || {
            let fields = Setup::new().column("a", &[1.0]).column("out", &[0.0]);
            fields.scalar("s", Scalar::F64(s)).scalar("n", Scalar::I32(n))
        };
        expect(program, setup, &[("out", &[expected])]);
    }
}

#[test]
fn declared_temporaries() {
    let program = "p(a, n, out) { \
                   t = temporary(domain=c⟨ Kᵥ: [-1, n[ ⟩, dtype={f64, i32}); \
                   {t[0], t[1]} @ {c⟨ Kᵥ: [-1, n[ ⟩, c⟨ Kᵥ: [-1, n[ ⟩} ← {(⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a), index(Kᵥ)}; \
                   out @ c⟨ Kᵥ: [0, get_domain_range(t, Kᵥ)[1][ ⟩ ← (⇑(λ(x, y) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(x) + cast_(·y, float64)))(t[0], t[1]); }";
    let setup = || {
        let fields = Setup::new().column("a", &[1.0, 2.0, 4.0]).column("out", &[0.0; 2]);
        fields.scalar("n", Scalar::I32(2))
    };
    expect(program, setup, &[("out", &[1.0, 3.0])]);
}

#[test]
fn statements_see_what_came_before() {
    let program = "p(a, b) { \
                   b @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a) → ·a + 1.0))(a); \
                   a @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(b) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(b)))(b); \
                   b @ c⟨ Kᵥ: [1, 3[ ⟩ ← (⇑(λ(a, b) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) × ·b))(a, b); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("b", &[0.0; 3]);
    expect(program, setup, &[("a", &[3.0, 4.0, 3.0]), ("b", &[2.0, 9.0, 16.0])]);
}

#[test]
fn memory_that_is_shared_by_two_arguments() {
    let program = "p(a, b) { a @ c⟨ Kᵥ: [1, 3[ ⟩ ← (⇑(λ(b) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(b)))(b); }";
    let setup = || {
        let mut setup = Setup::new().column("a", &[1.0, 2.0, 3.0]).column("b", &[0.0; 3]);
        let shared = setup.args.memory.bindings["a"].clone();
        setup.args.memory.bindings.insert("b".to_owned(), shared);
        setup
    };
    expect(program, setup, &[("a", &[1.0, 1.0, 2.0])]);
}
