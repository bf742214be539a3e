#include "bin/kv-bench/workload.h"

#include <fmt/format.h>
#include <algorithm>

#include <cmath>
#include <iterator>

#include "proto/base/bytes.h"

namespace kv::bench {

namespace {

constexpr std::string_view key_prefix = "key:";
/// Draws for the mix have this many bits.
constexpr unsigned mix_bits = 32;

template <std::integral Integer>
void append_be(std::string& out, Integer value) {
    char bytes[sizeof value];
    store_be(bytes, value);
    out.append(bytes, sizeof bytes);
}

/// A binary frame: type, length of the payload, payload.
std::string frame(char type, const std::string& payload) {
    std::string out(1, type);
    append_be(out, static_cast<std::uint32_t>(payload.size()));
    return out + payload;
}

RequestTemplate encode(Wire wire, const std::string& key, const std::string* value) {
    RequestTemplate request;
    std::string& out = request.bytes;
    std::size_t behind_key = 0;
    switch (wire) {
        case Wire::binary: {
            std::string payload;
            append_be(payload, static_cast<std::uint16_t>(key.size()));
            payload += key;
            if (value != nullptr) {
                append_be(payload, static_cast<std::uint32_t>(value->size()));
                payload += *value;
                behind_key = 4 + value->size();
            }
            out = frame(value != nullptr ? 0x01 : 0x02, payload);
            break;
        }
        case Wire::resp: {
            std::string tail = "\r\n";
            if (value != nullptr) tail += fmt::format("${}\r\n{}\r\n", value->size(), *value);
            out = fmt::format("*{}\r\n$3\r\n{}\r\n${}\r\n{}{}", value != nullptr ? 3 : 2,
                              value != nullptr ? "SET" : "GET", key.size(), key, tail);
            behind_key = tail.size();
            break;
        }
        case Wire::text: {
            const std::string tail = value != nullptr ? " " + *value + "\n" : "\n";
            out = (value != nullptr ? "SET " : "GET ") + key + tail;
            behind_key = tail.size();
            break;
        }
    }
    request.digits_end = out.size() - behind_key;
    return request;
}

/// Writes `number` as exactly `digits` decimals that end at `end`.
void write_digits(char* end, std::uint64_t number, unsigned digits) noexcept {
    static constexpr auto pairs = [] {
        std::array<char, 200> table{};
        for (std::size_t i = 0; i < 100; ++i) {
            table[2 * i] = static_cast<char>('0' + i / 10);
            table[2 * i + 1] = static_cast<char>('0' + i % 10);
        }
        return table;
    }();
    while (digits >= 2) {
        end -= 2;
        std::memcpy(end, pairs.data() + 2 * (number % 100), 2);
        number /= 100;
        digits -= 2;
    }
    if (digits == 1) end[-1] = static_cast<char>('0' + number % 10);
}

/// Letters and digits, so that every protocol can carry them.
std::string make_value(std::size_t bytes, std::uint64_t seed) {
    static constexpr std::string_view letters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    Prng prng = Prng::split(seed, "bench value");
    std::string value(bytes, '\0');
    for (char& c : value) c = letters[prng.below(letters.size())];
    return value;
}

}  // namespace

unsigned key_digits(std::uint64_t keys) noexcept {
    unsigned digits = 1;
    for (std::uint64_t largest = keys - 1; largest >= 10; largest /= 10) ++digits;
    return digits;
}

Workload::Workload(const WorkloadOptions& options)
    : options_(options), digits_(key_digits(options.keys)) {
    KV_ASSERT(options.keys > 0 && options.key_bytes >= digits_, "{} keys in {} bytes", options.keys,
              options.key_bytes);
    std::string key(options.key_bytes, '0');
    if (options.key_bytes >= digits_ + key_prefix.size()) {
        key.replace(0, key_prefix.size(), key_prefix);
    }
    const std::string value = make_value(options.value_bytes, options.seed);
    get_ = encode(options.wire, key, nullptr);
    set_ = encode(options.wire, key, &value);
}

BatchWriter::BatchWriter(const Workload& workload, std::size_t batch_max, std::uint64_t stream)
    : workload_(workload),
      batch_max_(batch_max),
      prng_(Prng::split(workload.options().seed, "bench keys", stream)),
      get_below_(
          static_cast<std::uint64_t>(std::llround(std::ldexp(workload.options().reads, mix_bits)))),
      buffer_(batch_max * std::max(workload.get().bytes.size(), workload.set().bytes.size())) {}

void BatchWriter::lay_out(Layout layout) {
    if (layout_ == layout) return;
    layout_ = layout;
    const auto& bytes = (layout == Layout::all_get ? workload_.get() : workload_.set()).bytes;
    for (std::size_t i = 0; i < batch_max_; ++i) {
        std::memcpy(buffer_.data() + i * bytes.size(), bytes.data(), bytes.size());
    }
}

std::string_view BatchWriter::random(std::size_t count) {
    KV_ASSERT(count <= batch_max_);
    const double reads = workload_.options().reads;
    if (reads > 0 && reads < 1) return random_mixed(count);
    lay_out(reads > 0 ? Layout::all_get : Layout::all_set);
    const RequestTemplate& request = reads > 0 ? workload_.get() : workload_.set();
    const std::size_t stride = request.bytes.size();
    char* end = buffer_.data() + request.digits_end;
    for (std::size_t i = 0; i < count; ++i, end += stride) {
        write_digits(end, prng_.below(workload_.options().keys), workload_.digits());
    }
    return {buffer_.data(), count * stride};
}

std::string_view BatchWriter::random_mixed(std::size_t count) {
    layout_ = Layout::mixed;
    char* at = buffer_.data();
    for (std::size_t i = 0; i < count; ++i) {
        const bool is_get = (prng_.next() >> (64 - mix_bits)) < get_below_;
        const RequestTemplate& request = is_get ? workload_.get() : workload_.set();
        std::copy_n(request.bytes.data(), request.bytes.size(), at);
        write_digits(at + request.digits_end, prng_.below(workload_.options().keys),
                     workload_.digits());
        at += request.bytes.size();
    }
    return {buffer_.data(), static_cast<std::size_t>(at - buffer_.data())};
}

std::string_view BatchWriter::load(std::uint64_t first, std::size_t count) {
    KV_ASSERT(count <= batch_max_ && first + count <= workload_.options().keys);
    lay_out(Layout::all_set);
    const RequestTemplate& request = workload_.set();
    const std::size_t stride = request.bytes.size();
    char* end = buffer_.data() + request.digits_end;
    for (std::size_t i = 0; i < count; ++i, end += stride) {
        write_digits(end, first + i, workload_.digits());
    }
    return {buffer_.data(), count * stride};
}

}  // namespace kv::bench
