//! Products with a matrix in compressed rows.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::linalg::{Number, meeting_type, with_number};
use crate::scalar::{DType, Scalar};

use super::{Factor, Tensor, shapes};

impl<'p> Machine<'p, '_> {
    pub(super) fn sparse_product(
        &mut self,
        library: &'p LibraryPlan,
        alpha: &Factor,
        beta: &Factor,
        transposed: bool,
    ) -> Fallible<()> {
        let values = self.input_access(library, "_a_vals")?;
        let dense = self.input_access(library, "_b")?;
        let (output, _) = self.output_access(library, "_c")?;
        let dtype = meeting_type(&[self.dtype_of(output)?, self.dtype_of(values)?, self.dtype_of(dense)?]);
        let rows = self.indices(library, "_a_rows")?;
        let columns = self.indices(library, "_a_cols")?;
        with_number!(dtype, T => {
            let values: Tensor<T> = self.gather(values, dtype)?;
            let dense: Tensor<T> = self.gather(dense, dtype)?;
            let row_count = rows.len().saturating_sub(1);
            // A vector is a matrix of one column; a transposed matrix stores its columns as rows.
            let matrix = dense.shape.len() >= 2;
            let last = dense.shape.last().copied().unwrap_or(1);
            let width = match (matrix, transposed) {
                (false, _) => 1,
                (true, false) => last,
                (true, true) => dense.values.len() / last.max(1),
            };
            let mut results = vec![<T as Number>::of(Scalar::I64(0), dtype); row_count * width];
            for row in 0..row_count {
                for entry in rows[row]..rows[row + 1] {
                    let (Some(&value), Some(&column)) = (values.values.get(entry), columns.get(entry)) else {
                        return Err(shapes("a row that ends after the last entry"));
                    };
                    for j in 0..width {
                        let at = if transposed && matrix { j * last + column } else { column * width + j };
                        let Some(&right) = dense.values.get(at) else {
                            return Err(shapes(&format!("column {column} of the sparse matrix")));
                        };
                        let result = &mut results[row * width + j];
                        *result = Number::add(*result, Number::mul(value, right));
                    }
                }
            }
            let poison = values.poison || dense.poison;
            self.finish(library, "_c", &["_cin", "_c"], results, poison, alpha, beta, dtype)
        })
    }

    fn indices(&mut self, library: &'p LibraryPlan, connector: &str) -> Fallible<Vec<usize>> {
        let access = self.input_access(library, connector)?;
        let table: Tensor<Scalar> = self.gather(access, DType::I64)?;
        let index = |entry: &Scalar| usize::try_from(entry.as_i64());
        table.values.iter().map(index).collect::<Result<_, _>>().map_err(|_| shapes("a negative index"))
    }
}
