/// XXH3 as the log, the entries and the key hashes use it. range(0): bytes.

#include <benchmark/benchmark.h>

#include <vector>

#include "proto/base/checksum.h"

namespace kv {
namespace {

/// Keys are short; a record is some hundred bytes, a batch up to megabytes.
void checksum_of(benchmark::State& state) {
    const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
    std::uint64_t seed = 1;
    for (auto _ : state) {
        seed = checksum(bytes, seed);  // each depends on the one before: latency, as in a log
        benchmark::DoNotOptimize(seed);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum_of)
    ->Arg(16)
    ->Arg(64)
    ->Arg(128)
    ->Arg(256)
    ->RangeMultiplier(4)
    ->Range(1 << 10, 4 << 20);

/// Hashes of many keys, none of which waits for another. range(0): bytes of a key.
void hash_keys(benchmark::State& state) {
    constexpr std::size_t keys = 1024;
    const auto key_bytes = static_cast<std::size_t>(state.range(0));
    const std::vector<std::byte> bytes(keys * key_bytes, std::byte{0x5a});
    for (auto _ : state) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < keys; ++i) {
            sum += checksum(Bytes(bytes).subspan(i * key_bytes, key_bytes), 7);
        }
        benchmark::DoNotOptimize(sum);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(keys));
}
BENCHMARK(hash_keys)->Arg(8)->Arg(16)->Arg(40)->Arg(200);

}  // namespace
}  // namespace kv
