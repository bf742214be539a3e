#pragma once

/// The descriptors of one simulated process: files and sockets share the numbers, and the lowest
/// free one is next, so that a descriptor used after its close meets somebody else's file.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/sim/sim_names.h"

namespace kv::io {

/// An open file description. Operations in flight hold on to it.
struct SimHandle {
    std::uint64_t number = 0;
    SimFileRef file;  ///< null: a directory
    std::string path;
    std::uint32_t flags = 0;
};
using SimHandleRef = std::shared_ptr<SimHandle>;

struct SimFd {
    enum class Kind : std::uint8_t { none, file, listener, socket };
    Kind kind = Kind::none;
    SimHandleRef handle;       ///< file
    std::uint32_t number = 0;  ///< the network's listener or socket
};

class SimFds {
public:
    std::int32_t add(SimFd fd) {
        if (free_.empty()) {
            fds_.push_back(std::move(fd));
            return first + static_cast<std::int32_t>(fds_.size()) - 1;
        }
        const std::int32_t number = *free_.begin();
        free_.erase(free_.begin());
        fds_[static_cast<std::size_t>(number - first)] = std::move(fd);
        return number;
    }
    /// Null: not open.
    const SimFd* find(std::int32_t number) const noexcept {
        if (number < first || static_cast<std::size_t>(number - first) >= fds_.size())
            return nullptr;
        const SimFd& fd = fds_[static_cast<std::size_t>(number - first)];
        return fd.kind == SimFd::Kind::none ? nullptr : &fd;
    }
    void remove(std::int32_t number) {
        fds_[static_cast<std::size_t>(number - first)] = SimFd{};
        free_.insert(number);
    }
    void clear() {
        fds_.clear();
        free_.clear();
    }
    std::size_t open_count() const noexcept { return fds_.size() - free_.size(); }

private:
    static constexpr std::int32_t first = 3;
    std::vector<SimFd> fds_;
    std::set<std::int32_t> free_;
};

}  // namespace kv::io
