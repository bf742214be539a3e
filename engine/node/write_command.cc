#include "engine/node/write_command.h"

#include "proto/base/integer.h"
#include "proto/command_options.h"

namespace kv {

namespace {

void put(Command& command, const Request& request, std::uint8_t flags) {
    command.kind = CommandKind::put;
    command.value = request.args[1];
    command.flags = flags;
}

void increment(Command& command, std::int64_t by) {
    command.kind = CommandKind::increment;
    command.flags = flag_number;
    command.number = by;
}

void condition(Command& command, const Result<WriteOptions>& options) {
    KV_ASSERT(options.has_value(), "options are checked before they are used");
    command.flags = options->flags;
    command.if_revision = options->if_revision;
    command.if_equal = options->if_equal;
}

/// What was asked of arguments that have been checked.
std::int64_t number_in(const Request& request) {
    return parse_integer(request.args[1]).value_or(0);
}

}  // namespace

Command command_of(const Request& request, const RequestLimits& limits) {
    Command command;
    command.session = request.session;
    command.sequence = request.sequence;
    command.key = request.args[0];
    switch (request.verb) {
        case Verb::set:
            put(command, request, 0);
            if (request.args.size() > 2) {
                condition(command, parse_set_options(request.args.subspan(2)));
            }
            return command;
        case Verb::setnx: put(command, request, flag_if_absent); return command;
        case Verb::getset: put(command, request, flag_return_previous); return command;
        case Verb::del:
        case Verb::unlink: command.kind = CommandKind::del; return command;
        case Verb::getdel:
            command.kind = CommandKind::del;
            command.flags = flag_return_previous;
            return command;
        case Verb::delex:
            command.kind = CommandKind::del;
            condition(command, parse_delex_options(request.args.subspan(1)));
            return command;
        case Verb::append:
            command.kind = CommandKind::append;
            command.value = request.args[1];
            command.flags = flag_number;
            command.number = static_cast<std::int64_t>(limits.value_bytes_max);
            return command;
        case Verb::incr: increment(command, 1); return command;
        case Verb::decr: increment(command, -1); return command;
        case Verb::incrby: increment(command, number_in(request)); return command;
        case Verb::decrby: increment(command, -number_in(request)); return command;
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

void answer_write(const Slot& slot, ReplyWriter& reply) {
    if ((slot.command_flags & flag_return_previous) != 0) {
        return slot.has_previous ? reply.value(slot.bytes) : reply.absent();
    }
    switch (slot.verb) {
        case Verb::set: return slot.number != 0 ? reply.ok() : reply.absent();
        case Verb::del:
        case Verb::unlink: return reply.deleted(slot.number);
        case Verb::mset:
        case Verb::flushall:
        case Verb::flushdb: return reply.ok();
        case Verb::setnx:
        case Verb::delex:
        case Verb::append:
        case Verb::incr:
        case Verb::decr:
        case Verb::incrby:
        case Verb::decrby: return reply.integer(slot.number);
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(slot.verb));
}

}  // namespace kv
