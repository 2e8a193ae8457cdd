//! Strongly connected components of a small directed graph, in topological order.

/// Nodes that run one after another or, if cyclic, round and round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// In the order in which a search from the start meets them.
    pub members: Vec<usize>,
    /// Whether one can come back to them.
    pub cyclic: bool,
}

/// The components of the graph whose node `n` leads to `next[n]` (all of which exist), each after those that lead
/// to it; what `first` does not lead to stands last. Tarjan's algorithm with a stack of its own.
pub fn components(next: &[Vec<usize>], first: Option<usize>) -> Vec<Component> {
    const UNSEEN: usize = usize::MAX;
    let count = next.len();
    let mut number = vec![UNSEEN; count];
    let mut low = vec![0; count];
    let mut on_path = vec![false; count];
    let mut path: Vec<usize> = Vec::new();
    let mut components: Vec<Component> = Vec::new();
    let mut counter = 0;
    let roots = (0..count).filter(|&node| Some(node) != first);
    for root in first.into_iter().filter(|&first| first < count).chain(roots) {
        if number[root] != UNSEEN {
            continue;
        }
        let mut calls = vec![(root, 0)];
        let mut finished: Vec<Component> = Vec::new();
        while let Some((node, at)) = calls.pop() {
            if at == 0 {
                number[node] = counter;
                low[node] = counter;
                counter += 1;
                path.push(node);
                on_path[node] = true;
            } else if let Some(&child) = next[node].get(at - 1)
                && on_path[child]
            {
                // A child on the path is the search's own or an older one; both are ways back.
                low[node] = low[node].min(low[child]);
            }
            if let Some(&child) = next[node].get(at) {
                calls.push((node, at + 1));
                if number[child] == UNSEEN {
                    calls.push((child, 0));
                }
                continue;
            }
            if low[node] == number[node] {
                let mut members = Vec::new();
                while let Some(member) = path.pop() {
                    on_path[member] = false;
                    members.push(member);
                    if member == node {
                        break;
                    }
                }
                members.sort_unstable_by_key(|&member| number[member]);
                let cyclic = members.len() > 1 || next[node].contains(&node);
                finished.push(Component { members, cyclic });
            }
        }
        // A component is finished after those it leads to.
        finished.reverse();
        components.extend(finished);
    }
    components
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which nodes each node leads to, over any number of steps.
    fn reachable(next: &[Vec<usize>]) -> Vec<Vec<bool>> {
        let count = next.len();
        let mut reach = vec![vec![false; count]; count];
        for (node, children) in next.iter().enumerate() {
            children.iter().for_each(|&child| reach[node][child] = true);
        }
        for via in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        reach
    }

    proptest! {
        #[test]
        fn order_and_cycles_are_those_of_reachability(
            edges in prop::collection::vec((0_usize..9, 0_usize..9), 0..24),
            first in 0_usize..9,
        ) {
            let mut next = vec![Vec::new(); 9];
            edges.iter().for_each(|&(from, to)| next[from].push(to));
            let reach = reachable(&next);
            let found = components(&next, Some(first));
            let mut place = [None; 9];
            for (position, component) in found.iter().enumerate() {
                for &member in &component.members {
                    prop_assert!(place[member].replace(position).is_none());
                    prop_assert_eq!(component.cyclic, reach[member][member]);
                }
            }
            for from in 0..9 {
                for to in 0..9 {
                    let together = from == to || (reach[from][to] && reach[to][from]);
                    prop_assert_eq!(together, place[from] == place[to]);
                    // What the start leads to is in topological order.
                    if reach[from][to] && !together && (from == first || reach[first][from]) {
                        prop_assert!(place[from] < place[to]);
                    }
                }
            }
        }
    }
}
