//! Sets that only ever grow together.

/// Disjoint sets of positions (union-find with path halving; the smaller root wins).
#[derive(Debug)]
pub struct UnionFind(Vec<usize>);

impl UnionFind {
    /// `n` sets of one.
    pub fn new(n: usize) -> Self {
        UnionFind((0..n).collect())
    }

    /// The smallest position of the set that holds `i`.
    pub fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    /// Makes the sets of `a` and `b` one.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
