/* A child gets a file that is open for direct I/O with a message, and reads while its thread forks. */
#include "common.h"
#include <sys/socket.h>

static char *buffer;

static void *forker(void *arg)
{
	(void)arg;
	pid_t pid = child();
	buffer[1024] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	return NULL;
}

static void message(int socket, int *fd, int sends)
{
	char byte = 0, control[CMSG_SPACE(sizeof *fd)] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof *fd);
	memcpy(CMSG_DATA(rights), fd, sizeof *fd);
	must(sends ? sendmsg(socket, &head, 0) : recvmsg(socket, &head, 0), "message");
	memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&head)), sizeof *fd);
}

int main(void)
{
	int ends[2], fd = -1;
	pthread_t thread;

	kernel();
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
	pid_t pid = must(fork(), "fork");
	if (pid) {
		fd = direct(O_RDONLY);
		message(ends[0], &fd, 1);
		must(waitpid(pid, NULL, 0), "waitpid");
		return 0;
	}
	message(ends[1], &fd, 0);
	buffer = pages(1);
	memset(buffer, 1, PAGE);
	pthread_create(&thread, NULL, forker, NULL);
	must(pread(fd, buffer, 512, 0), "pread");
	pthread_join(thread, NULL);
	return 0;
}
