/* Whole ESP packets of AES-256-CBC with HMAC-SHA1-96 or HMAC-SHA2-256-128 through ipsec-mb. */

#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct sa {
	DECLARE_ALIGNED(uint32_t enc[15 * 4], 16);
	DECLARE_ALIGNED(uint32_t dec[15 * 4], 16);
	DECLARE_ALIGNED(uint8_t inner[64], 16);
	DECLARE_ALIGNED(uint8_t outer[64], 16);
	int sha256;
};

IMB_MGR *shim_manager(void)
{
	IMB_MGR *mgr = alloc_mb_mgr(0);
	if (mgr)
		init_mb_mgr_auto(mgr, NULL);
	return mgr;
}

struct sa *shim_sa(IMB_MGR *mgr, const uint8_t *key, const uint8_t *mac_key, size_t mac_len, int sha256)
{
	struct sa *sa = aligned_alloc(64, (sizeof *sa + 63) / 64 * 64);
	uint8_t block[64];

	IMB_AES_KEYEXP_256(mgr, key, sa->enc, sa->dec);
	sa->sha256 = sha256;
	for (int outer = 0; outer < 2; outer++) {
		uint8_t *state = outer ? sa->outer : sa->inner;
		memset(block, 0, sizeof block);
		memcpy(block, mac_key, mac_len);
		for (size_t i = 0; i < sizeof block; i++)
			block[i] ^= outer ? 0x5c : 0x36;
		if (sha256)
			IMB_SHA256_ONE_BLOCK(mgr, block, state);
		else
			IMB_SHA1_ONE_BLOCK(mgr, block, state);
	}
	return sa;
}

/* Encrypts and authenticates packets whose IVs are filled in, or verifies and decrypts them; returns
 * how many were right. */
size_t shim_batch(IMB_MGR *mgr, struct sa *const *sas, uint8_t *const *packets, const size_t *lengths, size_t count,
		  int seal)
{
	static DECLARE_ALIGNED(uint8_t tags[64][16], 64);
	size_t right = 0;

	for (size_t i = 0; i < count; i++) {
		const struct sa *sa = sas[i];
		size_t tag = sa->sha256 ? 16 : 12;
		IMB_JOB *job = IMB_GET_NEXT_JOB(mgr);

		job->enc_keys = sa->enc;
		job->dec_keys = sa->dec;
		job->key_len_in_bytes = 32;
		job->src = packets[i];
		job->dst = packets[i] + 24;
		job->cipher_start_src_offset_in_bytes = 24;
		job->msg_len_to_cipher_in_bytes = lengths[i] - 24 - tag;
		job->hash_start_src_offset_in_bytes = 0;
		job->msg_len_to_hash_in_bytes = lengths[i] - tag;
		job->iv = packets[i] + 8;
		job->iv_len_in_bytes = 16;
		job->auth_tag_output = seal ? packets[i] + lengths[i] - tag : tags[i];
		job->auth_tag_output_len_in_bytes = tag;
		job->u.HMAC._hashed_auth_key_xor_ipad = sa->inner;
		job->u.HMAC._hashed_auth_key_xor_opad = sa->outer;
		job->cipher_mode = IMB_CIPHER_CBC;
		job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
		job->hash_alg = sa->sha256 ? IMB_AUTH_HMAC_SHA_256 : IMB_AUTH_HMAC_SHA_1;
		job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
		for (job = IMB_SUBMIT_JOB_NOCHECK(mgr); job; job = IMB_GET_COMPLETED_JOB(mgr))
			right += job->status == IMB_STATUS_COMPLETED;
	}
	for (IMB_JOB *job = IMB_FLUSH_JOB(mgr); job; job = IMB_FLUSH_JOB(mgr))
		right += job->status == IMB_STATUS_COMPLETED;
	if (!seal) {
		for (size_t i = 0; i < count; i++) {
			size_t tag = sas[i]->sha256 ? 16 : 12;
			if (memcmp(tags[i], packets[i] + lengths[i] - tag, tag))
				return 0;
		}
	}
	return right;
}
