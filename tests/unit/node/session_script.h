#pragma once

/// Sessions made of a seed: what a client sends, and, from a std::map executed in order, exactly
/// what must come back. The wire formats are spelled out here once more, independent of the codecs.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/prng.h"
#include "proto/detect.h"

namespace kv {

struct Script {
    std::string input;
    std::string expected;
    std::map<std::string, std::string> left;  ///< what the store holds in the end
};

/// `requests` mixed requests on a few keys that all start with `prefix`, nothing but them in the
/// store at the start.
Script random_script(Family family, std::uint64_t seed, std::size_t requests,
                     std::string_view prefix = "k");

// Requests and replies as bytes.
std::string resp_array(const std::vector<std::string_view>& words);
std::string resp_bulk(std::string_view bytes);
std::string big_endian(std::uint64_t number, int bytes);
/// A frame: type or status, length, payload.
std::string frame(int type, std::string_view payload);
std::string set_frame(std::string_view key, std::string_view value);
/// GET or DEL.
std::string key_frame(int type, std::string_view key);
std::string value_frame(std::string_view value);
std::string error_frame(std::string_view text);
std::string extended_frame(std::uint64_t id, int opcode, const std::vector<std::string_view>& args);
/// An extended reply; kind 5 has its own.
std::string extended_reply(std::uint64_t id, int kind, std::string_view body);

}  // namespace kv
