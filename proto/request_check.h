#pragma once

/// The checks of a request that no protocol words differently: number of arguments, sizes of keys
/// and values, options. A codec calls check_request once it knows verb
/// and arguments; what passes needs no further syntax check by whoever executes it:
///
///     select                     its argument is 0, the only database
///     flushall, flushdb          no argument, or ASYNC or SYNC in any case
///     mset                       an even number of arguments, at least two
///     set, delex, scan, getex,   their options (proto/command_options.h)
///     memory_usage
///     incrby, decrby             a decimal number of 64 bits; what is to be added is one too
///     getrange, substr           two decimal numbers of 64 bits
///     wait                       two decimal numbers, the second not negative
///     client_setinfo             LIB-NAME or LIB-VER in any case, then printable bytes
///     add_server, remove_server  ids 1..2^32-1, ports 1..65535, decimal; a host of 1..255 bytes
///     every key                  1..key_bytes_max bytes
///     everything else            at most value_bytes_max bytes

#include <string_view>

#include "proto/command.h"

namespace kv {

/// The verb's name as errors spell it: "get", "config|get".
std::string_view command_name(Verb verb) noexcept;

/// ASCII only; the locale plays no part.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Turns `request` into Verb::invalid without arguments. `text` may view the old arguments.
void refuse(Request& request, Errc error, std::string_view text);
/// The same with "wrong number of arguments for '<command>' command".
void refuse_arity(Request& request, std::string_view command);

/// Everything check_request does not decide inline.
void check_request_fully(Request& request, const RequestLimits& limits);

/// Leaves `request` as it is, or refuses it.
inline void check_request(Request& request, const RequestLimits& limits) {
    const auto key_fits = [&] {
        return request.args[0].size() - 1 < limits.key_bytes_max;  // wraps for 0
    };
    if (request.verb == Verb::get && request.args.size() == 1 && key_fits()) return;
    if (request.verb == Verb::set && request.args.size() == 2 && key_fits() &&
        request.args[1].size() <= limits.value_bytes_max)
        return;
    check_request_fully(request, limits);
}

}  // namespace kv
