/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SANITIZED: is this a build under a sanitizer?  They look into their own
 * process when it ends and make helper threads, which some confinement forbids.
 * SANITIZED_THREAD: is it ThreadSanitizer?  It takes no address layout but its own.
 */
#ifndef VGPU_SANITIZED_H
#define VGPU_SANITIZED_H

#if defined(__SANITIZE_THREAD__)
#define SANITIZED_THREAD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED_THREAD 1
#endif
#endif
#ifndef SANITIZED_THREAD
#define SANITIZED_THREAD 0
#endif

#if SANITIZED_THREAD || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif /* VGPU_SANITIZED_H */
