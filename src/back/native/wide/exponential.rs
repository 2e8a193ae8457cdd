//! `e^x` of fast mode with 512 bits: within 4 units in the last place.
//!
//! `x = k ln 2 + r` with `k` a multiple of 1/16, found by adding a number so large that its last bit counts sixteenths: that
//! bit and the three above it then choose `2^(k mod 1)` from a table in two registers, and one instruction multiplies by
//! `2^floor(k)`, with all its special cases. What is left, `|r| <= ln 2 / 32`, takes six steps.

use iced_x86::Code;

use super::code::{Reg, View, change, give, take};
use super::select::Select;

const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Its last bit is 1/16.
const SIXTEENTHS: f64 = 422_212_465_065_984.0;
/// `(e^r - 1 - r) / r^2` at the zeros of a Chebyshev polynomial, highest power first: relative error below 2^-54.
const SERIES: [f64; 5] = [
    0.001_388_904_022_520_364_5,
    0.008_333_454_402_549_303,
    0.041_666_666_664_819_8,
    0.166_666_666_651_891_73,
    0.5,
];
/// `2^(i / 16)`.
const POWERS: [f64; 16] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_6,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_4,
];

impl Select<'_> {
    /// `e^x` in all eight lanes.
    pub fn large_exponential(&mut self, x: Reg) -> Reg {
        let view = View::Zmm;
        let constant = |select: &mut Self, value: f64| select.bits_everywhere(value.to_bits());
        let minus = Code::VEX_Vfnmadd231pd_ymm_ymm_ymmm256;
        let plus = Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256;
        // The second operand is the result where it is NaN.
        let (highest, lowest) = (constant(self, 710.0), constant(self, -746.0));
        let x = self.three(Code::VEX_Vminpd_ymm_ymm_ymmm256, view, highest, x);
        let x = self.three(Code::VEX_Vmaxpd_ymm_ymm_ymmm256, view, lowest, x);
        let (large, inverse) = (constant(self, SIXTEENTHS), constant(self, std::f64::consts::LOG2_E));
        let sum = self.accumulate(Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256, view, large, x, inverse);
        let k = self.three(Code::VEX_Vsubpd_ymm_ymm_ymmm256, view, sum, large);
        let (high, low) = (constant(self, LN2_HIGH), constant(self, LN2_LOW));
        let r = self.accumulate(minus, view, x, k, high);
        let r = self.accumulate(minus, view, r, k, low);
        let series = self.vector();
        let first = constant(self, SERIES[0]);
        self.copy_vector(series, first);
        for next in SERIES.into_iter().skip(1).chain([1.0, 1.0]) {
            let coefficient = constant(self, next);
            self.emit_either(plus, &[change(series, view), take(r, view), take(coefficient, view)], 2);
        }
        let half = |from: usize| -> [u64; 8] { std::array::from_fn(|at| POWERS[from + at].to_bits()) };
        let (lower, upper) = (self.constant_vector(half(0)), self.constant_vector(half(8)));
        let power = self.vector();
        self.copy_vector(power, sum);
        self.emit_either(
            Code::EVEX_Vpermi2pd_zmm_k1z_zmm_zmmm512b64,
            &[change(power, view), take(lower, view), take(upper, view)],
            2,
        );
        let fraction = self.three(Code::VEX_Vmulpd_ymm_ymm_ymmm256, view, series, power);
        let result = self.vector();
        self.emit_either(
            Code::EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er,
            &[give(result, view), take(fraction, view), take(k, view)],
            2,
        );
        result
    }
}
