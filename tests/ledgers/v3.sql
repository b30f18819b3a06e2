BEGIN TRANSACTION;
CREATE TABLE chain (chain_id INTEGER PRIMARY KEY, genesis TEXT, started INTEGER, scanned INTEGER, final INTEGER,
  first_read INTEGER NOT NULL DEFAULT 0);
INSERT INTO "chain" VALUES(8453,'0x9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e',7001,7003,7002,1);
INSERT INTO "chain" VALUES(84532,NULL,NULL,NULL,NULL,0);
CREATE TABLE chain_block (chain_id INTEGER, number INTEGER, hash TEXT NOT NULL,
  PRIMARY KEY (chain_id, number)) WITHOUT ROWID;
INSERT INTO "chain_block" VALUES(8453,7002,'0xc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1');
INSERT INTO "chain_block" VALUES(8453,7003,'0xd2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2');
CREATE TABLE claim (trade INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL,
  reason TEXT, looks INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, checked REAL, block INTEGER,
  claimed_wei TEXT, realised_wei TEXT);
INSERT INTO "claim" VALUES(3,'alpha','memory_bank','confirmed','differs',1,1700000007.5,1700000006.5,7002,'12345678901234567890123','92');
INSERT INTO "claim" VALUES(8,'beta','events','pending',NULL,2,1700000008.5,NULL,NULL,NULL,NULL);
CREATE TABLE failure (bot TEXT, source TEXT, reason TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (bot, source, reason)) WITHOUT ROWID;
INSERT INTO "failure" VALUES('alpha','recent','slippage',31);
INSERT INTO "failure" VALUES('beta','events','reverted',32);
CREATE TABLE fault (key BLOB PRIMARY KEY, bot TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "fault" VALUES(X'F16661756C74','beta','opportunity','conflict');
INSERT INTO "fault" VALUES(X'F26661756C74','alpha','trade','syntax');
CREATE TABLE fault_total (bot TEXT, kind TEXT, reason TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (bot, kind, reason)) WITHOUT ROWID;
INSERT INTO "fault_total" VALUES('alpha','trade','syntax',51);
INSERT INTO "fault_total" VALUES('beta','opportunity','conflict',52);
CREATE TABLE log_cursor (log TEXT, file INTEGER, state TEXT NOT NULL, PRIMARY KEY (log, file)) WITHOUT ROWID;
INSERT INTO "log_cursor" VALUES('arbitrage',6101,'{"offset": 61}');
INSERT INTO "log_cursor" VALUES('arbitrage',6102,'{"offset": 62}');
CREATE TABLE log_total (log TEXT, kind TEXT, name TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (log, kind, name)) WITHOUT ROWID;
INSERT INTO "log_total" VALUES('arbitrage','event','trade_executed',64);
INSERT INTO "log_total" VALUES('arbitrage','level','error',63);
CREATE TABLE opportunity (seq INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
  digest BLOB NOT NULL, pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL, expected_wei TEXT,
  seen REAL);
INSERT INTO "opportunity" VALUES(2,'alpha','memory_bank','opp-2',X'08646967657374','WETH/USDC','aerodrome','uniswap','98765432109876543210',NULL);
INSERT INTO "opportunity" VALUES(4,'beta','events','opp-9',X'07646967657374','cbETH/WETH','uniswap','aerodrome',NULL,1700000021.5);
INSERT INTO "opportunity" VALUES(6,'alpha','memory_bank','opp-10',X'09646967657374','WETH/USDC','uniswap','aerodrome','41',1700000022.5);
CREATE TABLE opportunity_total (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT, stage TEXT,
  count INTEGER NOT NULL, PRIMARY KEY (bot, source, pair, dex_buy, dex_sell, stage)) WITHOUT ROWID;
INSERT INTO "opportunity_total" VALUES('alpha','memory_bank','WETH/USDC','aerodrome','uniswap','detected',42);
INSERT INTO "opportunity_total" VALUES('beta','events','cbETH/WETH','uniswap','aerodrome','executed',43);
CREATE TABLE pool (chain_id INTEGER, address TEXT, kind TEXT NOT NULL, token0 TEXT NOT NULL, token1 TEXT NOT NULL,
  fee INTEGER NOT NULL, PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
INSERT INTO "pool" VALUES(8453,'0x9090909090909090909090909090909090909090','slipstream','0x4040404040404040404040404040404040404040','0x8383838383838383838383838383838383838383',500);
CREATE TABLE route (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT,
  PRIMARY KEY (bot, source, pair, dex_buy, dex_sell)) WITHOUT ROWID;
INSERT INTO "route" VALUES('alpha','memory_bank','WETH/USDC','aerodrome','uniswap');
INSERT INTO "route" VALUES('beta','events','cbETH/WETH','uniswap','aerodrome');
CREATE TABLE source (bot TEXT, source TEXT, first_read INTEGER NOT NULL DEFAULT 0, last_trade REAL,
  PRIMARY KEY (bot, source)) WITHOUT ROWID;
INSERT INTO "source" VALUES('alpha','memory_bank',1,1700000001.5);
INSERT INTO "source" VALUES('alpha','recent',0,NULL);
INSERT INTO "source" VALUES('beta','events',1,1700000002.25);
CREATE TABLE token (chain_id INTEGER, address TEXT, symbol TEXT NOT NULL, decimals INTEGER NOT NULL,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
INSERT INTO "token" VALUES(8453,'0x4040404040404040404040404040404040404040','WETH',18);
INSERT INTO "token" VALUES(8453,'0x8383838383838383838383838383838383838383','USDC',6);
CREATE TABLE total (bot TEXT, source TEXT, pair TEXT, dex_buy TEXT, dex_sell TEXT,
  success INTEGER NOT NULL, failed INTEGER NOT NULL, net_wei TEXT NOT NULL, gain_wei TEXT NOT NULL,
  loss_wei TEXT NOT NULL, gas_wei TEXT NOT NULL, expected_wei TEXT NOT NULL,
  PRIMARY KEY (bot, source, pair, dex_buy, dex_sell)) WITHOUT ROWID;
INSERT INTO "total" VALUES('alpha','memory_bank','WETH/USDC','aerodrome','uniswap',11,12,'12345678901234567890123','13000000000000000000000','14','15','16');
INSERT INTO "total" VALUES('beta','events','cbETH/WETH','uniswap','aerodrome',21,22,'-23','24','47','26','27');
CREATE TABLE trade (id INTEGER PRIMARY KEY, bot TEXT NOT NULL, source TEXT NOT NULL, key BLOB NOT NULL,
  digest BLOB NOT NULL, time REAL, pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL,
  outcome TEXT NOT NULL, reason TEXT, net_wei TEXT, gas_wei TEXT, expected_wei TEXT, tx_hash TEXT);
INSERT INTO "trade" VALUES(3,'alpha','memory_bank',X'016B6579',X'02646967657374',1700000001.5,'WETH/USDC','aerodrome','uniswap','success',NULL,'12345678901234567890123','21000000000000','98765432109876543210','0x1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a');
INSERT INTO "trade" VALUES(7,'alpha','recent',X'036B6579',X'04646967657374',NULL,'other','other','other','failed','slippage',NULL,NULL,NULL,NULL);
INSERT INTO "trade" VALUES(8,'beta','events',X'056B6579',X'06646967657374',1700000002.25,'cbETH/WETH','uniswap','aerodrome','failed','reverted','-4','5','6','0x2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b');
CREATE TABLE wallet_flow (chain_id INTEGER, token TEXT, amount TEXT NOT NULL,
  PRIMARY KEY (chain_id, token)) WITHOUT ROWID;
INSERT INTO "wallet_flow" VALUES(8453,'0x4040404040404040404040404040404040404040','-89000000000000000000000');
INSERT INTO "wallet_flow" VALUES(8453,'0x8383838383838383838383838383838383838383','90');
CREATE TABLE wallet_nonce (chain_id INTEGER, address TEXT, nonce INTEGER,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
INSERT INTO "wallet_nonce" VALUES(8453,'0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1',73);
INSERT INTO "wallet_nonce" VALUES(84532,'0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1',NULL);
CREATE TABLE wallet_removed (chain_id INTEGER, address TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (chain_id, address)) WITHOUT ROWID;
INSERT INTO "wallet_removed" VALUES(8453,'0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2',91);
CREATE TABLE wallet_total (chain_id INTEGER, address TEXT, outcome TEXT, reason TEXT, count INTEGER NOT NULL,
  l2_wei TEXT NOT NULL, l1_wei TEXT NOT NULL, operator_wei TEXT NOT NULL,
  PRIMARY KEY (chain_id, address, outcome, reason)) WITHOUT ROWID;
INSERT INTO "wallet_total" VALUES(8453,'0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2','failed','out_of_gas',85,'86','87','88');
INSERT INTO "wallet_total" VALUES(8453,'0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2','success','',81,'82000000000000000000000','83','84');
CREATE TABLE wallet_transaction (chain_id INTEGER, hash TEXT, address TEXT NOT NULL, sender TEXT NOT NULL,
  nonce INTEGER NOT NULL, block_number INTEGER NOT NULL, block_hash TEXT NOT NULL, time REAL NOT NULL,
  confirmed INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL, reason TEXT, trade INTEGER NOT NULL,
  gas_used INTEGER NOT NULL, l2_wei TEXT NOT NULL, l1_wei TEXT NOT NULL, operator_wei TEXT NOT NULL,
  net_wei TEXT, unvalued INTEGER NOT NULL DEFAULT 0, flows TEXT NOT NULL,
  pair TEXT NOT NULL, dex_buy TEXT NOT NULL, dex_sell TEXT NOT NULL, PRIMARY KEY (chain_id, hash)) WITHOUT ROWID;
INSERT INTO "wallet_transaction" VALUES(8453,'0x1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a','0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2','0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1',71,7002,'0xc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1',1700000003.5,1,'success',NULL,1,210000,'7100000000000000000000','72','73','74',75,'[["0x4040404040404040404040404040404040404040", "76"]]','WETH/USDC','aerodrome','uniswap');
INSERT INTO "wallet_transaction" VALUES(8453,'0x2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b','0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2','0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1',72,7003,'0xd2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2',1700000005.5,0,'failed','out_of_gas',0,210001,'77','78','79',NULL,0,'[]','other','other','other');
CREATE UNIQUE INDEX trade_key ON trade (bot, source, key);
CREATE INDEX wallet_transaction_block ON wallet_transaction (chain_id, confirmed, block_number);
CREATE INDEX wallet_transaction_unvalued ON wallet_transaction (chain_id) WHERE unvalued > 0;
CREATE INDEX claim_status ON claim (bot, source, status);
CREATE INDEX claim_due ON claim (bot, due);
CREATE INDEX trade_hash ON trade (bot, tx_hash) WHERE tx_hash IS NOT NULL;
CREATE INDEX trade_time ON trade (bot, ifnull(time, 0), id);
CREATE UNIQUE INDEX opportunity_key ON opportunity (bot, source, id);
COMMIT;
PRAGMA user_version=3;
