//! What a cluster costs and what is made of it: a node is bought while a Pod is on it.

use k8s_openapi::api::core::v1::Pod;
use podlab_runtime::scheduler::resources::Resources;

use crate::event::Request;
use crate::objects::{NODE_CPU, NODE_MEMORY};

#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) decisions: u64,
    pub(crate) bound: u64,
    nodes: Vec<Load>,
    used: Resources,
    bought: usize,
    /// Sums over the samples.
    sums: Sums,
    pub(crate) most_bought: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    pods: usize,
}

#[derive(Debug, Default)]
struct Sums {
    samples: u64,
    cpu: f64,
    memory: f64,
    bought: f64,
}

impl Usage {
    pub(crate) fn new(nodes: usize) -> Self {
        Usage {
            decisions: 0,
            bound: 0,
            nodes: vec![Load::default(); nodes],
            used: Resources::default(),
            bought: 0,
            sums: Sums::default(),
            most_bought: 0,
        }
    }

    /// A write about a Pod is durable.
    pub(crate) fn note(&mut self, request: &Request, pod: &Pod, node: Option<usize>, gone: bool) {
        let Some(node) = node else { return };
        let load = &mut self.nodes[node];
        match request {
            Request::Bind { .. } => {
                self.bound += 1;
                self.bought += usize::from(load.pods == 0);
                load.pods += 1;
                self.used.add(&Resources::of_pod(pod));
            }
            _ if gone => {
                load.pods = load.pods.saturating_sub(1);
                self.bought -= usize::from(load.pods == 0);
                self.used.subtract(&Resources::of_pod(pod));
            }
            _ => {}
        }
        self.most_bought = self.most_bought.max(self.bought);
    }

    pub(crate) fn sample(&mut self) {
        if self.bought == 0 {
            return;
        }
        self.sums.samples += 1;
        self.sums.cpu += self.used.milli_cpu as f64;
        self.sums.memory += self.used.memory as f64;
        self.sums.bought += self.bought as f64;
    }

    /// Used of what was bought, in percent, of processors and memory; and how many nodes were bought on average.
    pub(crate) fn shares(&self) -> (f64, f64, f64) {
        let Sums { samples, cpu, memory, bought } = self.sums;
        if samples == 0 {
            return (0.0, 0.0, 0.0);
        }
        let share = |used: f64, each: i64| used / (bought * each as f64) * 100.0;
        (share(cpu, NODE_CPU), share(memory, NODE_MEMORY), bought / samples as f64)
    }
}
