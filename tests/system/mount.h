#pragma once

/// A file system of its own, of a given size, in memory; unmounted with its object. Needs root.

#include <sys/mount.h>

#include <string>

namespace kv::test {

class SmallDisk {
public:
    SmallDisk(std::string path, const std::string& options)
        : path_(std::move(path)),
          mounted_(::mount("kv-test", path_.c_str(), "tmpfs", 0, options.c_str()) == 0) {}
    SmallDisk(const SmallDisk&) = delete;
    ~SmallDisk() {
        if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    }

    bool mounted() const noexcept { return mounted_; }
    bool make_read_only() {
        return ::mount("kv-test", path_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
    }

private:
    std::string path_;
    bool mounted_;
};

}  // namespace kv::test
