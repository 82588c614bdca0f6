// SPDX-License-Identifier: Apache-2.0
//
// A small disk of the test's own, with ext4 on it, whose power can be cut: the file system is shut down at once
// (EXT4_IOC_SHUTDOWN), nothing of what was not yet written to the disk gets there, and the next mount replays the journal. The
// disk is a loop device with a file in memory that has no name any more, detached when it is unmounted, and mounted in a mount
// namespace of this process alone: so nothing of it outlives the process, however that ends.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

namespace support {

enum class cut : std::uint32_t { with_journal = 1, at_once = 2 };  // is what the journal has in memory written out first?

class cut_disk {
 public:
  // Not mounted where this machine does not let us: then missing() says what it is that lacks.
  cut_disk(const std::string& directory, std::uint64_t bytes) : mounted_(directory) {
    std::filesystem::create_directory(mounted_);
    missing_ = make(bytes);
    if (missing_.empty()) missing_ = mount();
  }
  ~cut_disk() {
    unmount();
    if (loop_ >= 0) ::close(loop_);
  }
  cut_disk(const cut_disk&) = delete;
  cut_disk& operator=(const cut_disk&) = delete;

  const std::string& missing() const { return missing_; }
  const std::string& path() const { return mounted_; }

  // Whoever writes to it gets EIO from now on.
  void cut_power(cut how) {
    const int root = ::open(mounted_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto flags = static_cast<std::uint32_t>(how);
    EXPECT_EQ(::ioctl(root, _IOR('X', 125, std::uint32_t), &flags), 0) << std::strerror(errno);
    ::close(root);
  }
  // What ext4 would do by itself within some seconds: all that is not on the disk yet gets there.
  void write_back() {
    const int root = ::open(mounted_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)::syncfs(root);
    ::close(root);
  }
  // Power is back. Nobody may have a file of it open.
  void power_on() {
    unmount();
    EXPECT_EQ(mount(), "");
  }

 private:
  static std::string said(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

  std::string make(std::uint64_t bytes) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return said("a mount namespace of its own (that takes root)");
    }
    const std::string image =
        (std::filesystem::exists("/dev/shm") ? "/dev/shm/annals-disk-" : mounted_ + "-image-") + std::to_string(::getpid());
    const int file = ::open(image.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return said(image.c_str());
    std::string failed;
    if (::ftruncate(file, static_cast<off_t>(bytes)) != 0) failed = said("a file for the disk");
    const std::string make_it = "PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F '" + image + "' >/dev/null 2>&1";
    if (failed.empty() && std::system(make_it.c_str()) != 0) failed = "mkfs.ext4";
    ::unlink(image.c_str());
    if (failed.empty()) failed = attach(file);
    ::close(file);
    return failed;
  }

  std::string attach(int file) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return said("/dev/loop-control");
    for (int tries = 0; tries < 50 && loop_ < 0; ++tries) {  // others may take the one that was free
      const int number = ::ioctl(control, LOOP_CTL_GET_FREE);
      if (number < 0) break;
      device_ = "/dev/loop" + std::to_string(number);
      loop_ = ::open(device_.c_str(), O_RDWR | O_CLOEXEC);
      if (loop_ < 0) break;
      loop_config config = {};
      config.fd = static_cast<std::uint32_t>(file);
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
      if (::ioctl(loop_, LOOP_CONFIGURE, &config) == 0) break;
      ::close(loop_);
      loop_ = -1;
      if (errno != EBUSY) break;
    }
    const std::string failed = loop_ < 0 ? said("a loop device") : "";
    ::close(control);
    return failed;
  }

  std::string mount() {
    if (::mount(device_.c_str(), mounted_.c_str(), "ext4", 0, nullptr) != 0) return said("to mount ext4 from a loop device");
    is_mounted_ = true;
    return "";
  }
  void unmount() {
    if (!is_mounted_) return;
    EXPECT_EQ(::umount(mounted_.c_str()), 0) << std::strerror(errno);
    is_mounted_ = false;
  }

  std::string mounted_;
  std::string device_;
  std::string missing_;
  int loop_ = -1;
  bool is_mounted_ = false;
};

}  // namespace support
