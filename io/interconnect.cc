#include "io/interconnect.h"

namespace kv::io {

Interconnect::Interconnect(std::size_t cores, std::size_t slots)
    : cores_(cores), pairs_(cores * cores) {
    KV_ASSERT(cores >= 1 && cores <= cores_max);
    for (std::size_t from = 0; from < cores; ++from) {
        for (std::size_t to = 0; to < cores; ++to) {
            if (from != to) pairs_[from * cores + to] = std::make_unique<Pair>(slots);
        }
    }
}

}  // namespace kv::io
