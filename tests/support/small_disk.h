// SPDX-License-Identifier: Apache-2.0
//
// A file system of a test's own, so small that it can be filled: a tmpfs, in a mount namespace of this process, so that nothing
// of it is left however that ends. Made before the threads that use it.
#pragma once
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

namespace support {

class small_disk {
 public:
  // At a directory, which is made. `size`: as tmpfs takes it, "4m".
  small_disk(std::string path, const std::string& size) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    is_there_ = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!is_there_) why_not_ = std::strerror(errno);
  }
  ~small_disk() {
    if (is_there_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;

  bool is_there() const { return is_there_; }
  // For GTEST_SKIP: only the kernel's mount(2) makes such a disk, and it takes root for that.
  std::string why_not() const {
    return "NOT TESTED: what happens on a full disk, since none can be mounted at " + path_ + " (" + why_not_ +
           "); the kernel lets root alone: run this test as root";
  }

 private:
  std::string path_;
  std::string why_not_;
  bool is_there_ = false;
};

}  // namespace support
