/// What the store costs: inserting, reading with and without prefetching a batch, overwriting; the
/// worst single insert; and memory per key beyond key and value. 16-byte keys, 100-byte values.
///
///     hash_index_bench [huge] [large] [Google Benchmark flags]
///
/// huge: ask for huge pages; large: 10 million keys as well, which takes half a minute and 2 GiB.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/store/slab.h"
#include "engine/store/store.h"
#include "proto/base/prng.h"

namespace {

using kv::Command;
using kv::CommandKind;
using Clock = std::chrono::steady_clock;

constexpr std::size_t key_bytes = 16;
constexpr std::size_t value_bytes = 100;
constexpr std::int64_t batch = 32;
kv::Slab::Backing backing = kv::Slab::Backing::small;

using Key = std::array<char, key_bytes>;

/// 16 hexadecimal digits: quick to make, so that the store is what is measured.
Key key_of(std::uint64_t number) {
    constexpr char digits[] = "0123456789abcdef";
    Key key;
    std::uint64_t rest = number * 0x9e3779b97f4a7c15ull;  // odd: no two numbers meet
    for (char& c : key) {
        c = digits[rest & 15];
        rest >>= 4;
    }
    return key;
}
std::string_view text(const Key& key) {
    return {key.data(), key.size()};
}

std::uint64_t resident_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6)) * 1024;
    return 0;
}

struct Filled {
    kv::Slab slab{backing};
    kv::Store store{slab, 42};
};

/// Page faults and lost time slices so far: the kernel's part in a slow insert.
long disturbances() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_nivcsw;
}

/// Inserts `keys` keys, timing each one, and prints what it saw.
void fill(Filled& filled, std::uint64_t keys) {
    const std::string value(value_bytes, 'v');
    std::vector<std::uint32_t> nanoseconds(keys, 1);
    const std::uint64_t before = resident_bytes();
    std::int64_t undisturbed_max = 0;
    std::int64_t total = 0;
    long seen = disturbances();
    for (std::uint64_t i = 0; i < keys; ++i) {
        const Key key = key_of(i);
        const auto from = Clock::now();
        const Command command{.kind = CommandKind::put, .key = text(key), .value = value};
        filled.store.apply(command, filled.store.hash(text(key)));
        const std::int64_t took = (Clock::now() - from).count();
        total += took;
        nanoseconds[i] = static_cast<std::uint32_t>(took);
        if (disturbances() == seen) undisturbed_max = std::max(undisturbed_max, took);
        seen = disturbances();
    }
    const auto rss = static_cast<double>(resident_bytes() - before);
    std::sort(nanoseconds.begin(), nanoseconds.end());
    const auto count = static_cast<double>(keys);
    const kv::HashIndex& index = filled.store.index();
    const auto slots = static_cast<double>(index.segments() * kv::hash::slots_per_segment);
    std::printf(
        "%9llu keys: insert %.0f ns avg, p99.9 %.1f us, 100th worst %.1f us, worst %.1f us, "
        "worst without a page fault %.1f us\n",
        static_cast<unsigned long long>(keys), static_cast<double>(total) / count,
        nanoseconds[keys - keys / 1000] / 1e3, nanoseconds[keys - 100] / 1e3,
        nanoseconds[keys - 1] / 1e3, static_cast<double>(undisturbed_max) / 1e3);
    std::printf(
        "                bytes/key beyond key and value %.1f, of that index %.1f; "
        "directory depth %u, load %.2f\n",
        rss / count - key_bytes - value_bytes, static_cast<double>(index.bytes()) / count,
        index.depth(), count / slots);
    std::fflush(stdout);
}

Filled& filled_with(std::uint64_t keys) {
    static std::unique_ptr<Filled> filled;
    static std::uint64_t filled_keys = 0;
    if (filled_keys != keys) {
        filled = std::make_unique<Filled>();
        fill(*filled, keys);
        filled_keys = keys;
    }
    return *filled;
}

template <typename F>
void each_batch(benchmark::State& state, F&& f) {
    const auto keys = static_cast<std::uint64_t>(state.range(0));
    Filled& filled = filled_with(keys);
    kv::Prng prng(7);
    std::array<Key, batch> chosen;
    for (auto _ : state) {
        for (Key& key : chosen) key = key_of(prng.below(keys));
        f(filled.store, chosen);
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

void make_keys_only(benchmark::State& state) {
    each_batch(state, [](kv::Store& store, const std::array<Key, batch>& keys) {
        for (const Key& key : keys) benchmark::DoNotOptimize(store.hash(text(key)));
    });
}

void get_one_by_one(benchmark::State& state) {
    each_batch(state, [](kv::Store& store, const std::array<Key, batch>& keys) {
        for (const Key& key : keys) {
            const auto found = store.get(text(key), store.hash(text(key)));
            benchmark::DoNotOptimize(found->value.front());
        }
    });
}

void get_batch(benchmark::State& state) {
    each_batch(state, [](kv::Store& store, const std::array<Key, batch>& keys) {
        std::array<std::uint64_t, batch> hashes;
        for (std::size_t i = 0; i < batch; ++i) {
            hashes[i] = store.hash(text(keys[i]));
            store.prefetch(hashes[i]);
        }
        for (const std::uint64_t hash : hashes) store.prefetch_block(hash);
        for (std::size_t i = 0; i < batch; ++i)
            benchmark::DoNotOptimize(store.get(text(keys[i]), hashes[i])->value.front());
    });
}

void overwrite_batch(benchmark::State& state) {
    const std::string value(value_bytes, 'w');
    each_batch(state, [&](kv::Store& store, const std::array<Key, batch>& keys) {
        std::array<std::uint64_t, batch> hashes;
        for (std::size_t i = 0; i < batch; ++i) {
            hashes[i] = store.hash(text(keys[i]));
            store.prefetch(hashes[i]);
        }
        for (const std::uint64_t hash : hashes) store.prefetch_block(hash);
        for (std::size_t i = 0; i < batch; ++i)
            store.apply({.kind = CommandKind::put, .key = text(keys[i]), .value = value},
                        hashes[i]);
    });
}

void overwrite_one_by_one(benchmark::State& state) {
    const std::string value(value_bytes, 'w');
    each_batch(state, [&](kv::Store& store, const std::array<Key, batch>& keys) {
        for (const Key& key : keys)
            store.apply({.kind = CommandKind::put, .key = text(key), .value = value},
                        store.hash(text(key)));
    });
}

void scan_all(benchmark::State& state) {
    const auto keys = static_cast<std::uint64_t>(state.range(0));
    const Filled& filled = filled_with(keys);
    kv::Cursor cursor;
    std::int64_t seen = 0;
    for (auto _ : state) {
        cursor = filled.store.scan(
            cursor, [&](std::string_view key, std::string_view value, kv::Revision revision) {
                benchmark::DoNotOptimize(key.front() + value.front());
                benchmark::DoNotOptimize(revision);
                ++seen;
            });
    }
    state.SetItemsProcessed(seen);
}

/// Last of its size: leaves the store empty.
void reclaim_all(benchmark::State& state) {
    const auto keys = static_cast<std::uint64_t>(state.range(0));
    Filled& filled = filled_with(keys);
    filled.store.apply({.kind = CommandKind::flush}, 0);
    std::int64_t slices = 0;
    bool left = true;
    for (auto _ : state) {
        if (left) slices += (left = filled.store.reclaim(1'000)) ? 1 : 0;
    }
    state.counters["slices"] = static_cast<double>(slices);
}

}  // namespace

int main(int argc, char** argv) {
    const auto take_word = [&](const char* word) {
        if (argc < 2 || std::strcmp(argv[1], word) != 0) return false;
        argv[1] = argv[0];
        ++argv;
        --argc;
        return true;
    };
    if (take_word("huge")) backing = kv::Slab::Backing::huge;
    std::vector<std::int64_t> sizes = {1'000'000};
    if (take_word("large")) sizes.push_back(10'000'000);
    for (const std::int64_t keys : sizes) {
        benchmark::RegisterBenchmark("make_keys_only", make_keys_only)->Arg(keys);
        benchmark::RegisterBenchmark("get_one_by_one", get_one_by_one)->Arg(keys);
        benchmark::RegisterBenchmark("get_batch", get_batch)->Arg(keys);
        benchmark::RegisterBenchmark("overwrite_one_by_one", overwrite_one_by_one)->Arg(keys);
        benchmark::RegisterBenchmark("overwrite_batch", overwrite_batch)->Arg(keys);
        benchmark::RegisterBenchmark("scan_all", scan_all)->Arg(keys);
        benchmark::RegisterBenchmark("reclaim_all", reclaim_all)
            ->Arg(keys)
            ->Iterations(keys / 1'100);
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
